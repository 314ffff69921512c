"""Augmentation of waveforms, alike for both classes, so that the channel says nothing of the label.

Chance decides first (`draw`), the sound is changed afterwards (`retime`, then `degrade`), so that a
recording, a copy of it and the labels of their samples can share one `Draw`.
"""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import soundfile
import soxr
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve

from detectors.audio import RATE

Share = Annotated[float, Field(ge=0, le=1)]

# how often each codec is drawn; Opus takes four times as long as the others together
CODECS = {"mp3": 0.35, "vorbis": 0.3, "opus": 0.05, "ulaw": 0.15, "alaw": 0.15}
BANDWIDTHS_HZ = (8000, 8000, 11025, 12000, 14000)


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Augment:
    """Probability of each augmentation; 0 leaves it out."""

    edges: Share = 0.15
    speed: Share = 0.0
    reverb: Share = 0.1
    equaliser: Share = 0.3
    noise: Share = 0.2
    clipping: Share = 0.03
    bandwidth: Share = 0.12
    codec: Share = 0.2


@dataclass(frozen=True)
class Draw:
    """What chance decided for one clip, in the order of a recording; None leaves a step out."""

    seed: int  # of the noise in `pad`, `reverb` and `noise`
    trim: tuple[int, int] | None = None  # samples off the beginning and the end
    pad: tuple[int, float, bool] | None = None  # samples of near-silence, amplitude, in front
    speed: float | None = None  # factor on the tempo, pitch and all
    reverb: tuple[float, float] | None = None  # decay in s, level beside the direct sound
    equaliser: tuple[float, ...] | None = None  # gains in dB, at eight frequencies up to Nyquist's
    noise: tuple[float, float] | None = None  # spectral slope (0 white, 1 brown), dB below the clip
    clipping: float | None = None  # share of the highest peak
    bandwidth: int | None = None  # sample rate in Hz
    codec: tuple[str, float] | None = None  # one of CODECS, compression 0..1


def draw(chances: Augment, samples: int, rng: np.random.Generator) -> Draw:
    """Decide how to augment a clip of so many samples."""
    on = {name: rng.random() < chance for name, chance in dataclasses.asdict(chances).items()}
    trim = on["edges"] and samples > 1.5 * RATE and rng.random() < 0.5
    first, last = rng.integers(0, int(0.3 * RATE), 2).tolist()
    pad = int(rng.uniform(0.05, 0.5) * RATE), 10 ** rng.uniform(-5, -3.5), rng.random() < 0.5
    speed = rng.uniform(0.92, 1.08)
    reverb = rng.uniform(0.1, 0.6), 10 ** rng.uniform(-1.5, -0.3)
    equaliser = tuple(rng.normal(0, 4, 8))
    noise = rng.uniform(0, 1), rng.uniform(8, 45)
    clipping = rng.uniform(0.2, 0.8)
    bandwidth = int(rng.choice(BANDWIDTHS_HZ))
    codec = str(rng.choice(list(CODECS), p=list(CODECS.values()))), rng.uniform(0.2, 0.9)
    return Draw(
        seed=int(rng.integers(2**32)),
        trim=(first, last) if trim else None,
        pad=pad if on["edges"] and not trim else None,
        speed=speed if on["speed"] else None,
        reverb=reverb if on["reverb"] else None,
        equaliser=equaliser if on["equaliser"] else None,
        noise=noise if on["noise"] else None,
        clipping=clipping if on["clipping"] else None,
        bandwidth=bandwidth if on["bandwidth"] else None,
        codec=codec if on["codec"] else None,
    )


def retime(x: np.ndarray, drawn: Draw) -> np.ndarray:
    """Trim, pad or speed up: what alone changes when a sound is heard. (n,) -> (m,) float32."""
    if drawn.trim:
        first, last = drawn.trim
        x = x[first : len(x) - last]
    if drawn.pad:
        samples, amplitude, in_front = drawn.pad
        silence = amplitude * np.random.default_rng(drawn.seed).standard_normal(samples)
        x = np.concatenate([silence, x] if in_front else [x, silence]).astype(np.float32)
    if drawn.speed:
        x = soxr.resample(x, RATE, RATE * drawn.speed, quality="MQ")
    return x


def degrade(x: np.ndarray, drawn: Draw) -> np.ndarray:
    """Room, microphone, noise, channel and codec, in this order. (n,) -> (n,) float32."""
    rng = np.random.default_rng(drawn.seed)
    if drawn.reverb:
        x = _reverb(x, *drawn.reverb, rng)
    if drawn.equaliser:
        x = _equalise(x, drawn.equaliser)
    if drawn.noise:
        x = _noise(x, *drawn.noise, rng)
    if drawn.clipping:
        limit = np.max(np.abs(x)) * np.float32(drawn.clipping)
        x = np.clip(x, -limit, limit)
    if drawn.bandwidth:
        low = soxr.resample(x, RATE, drawn.bandwidth)
        x = _fit(soxr.resample(low, drawn.bandwidth, RATE), len(x))
    if drawn.codec:
        peak = max(float(np.max(np.abs(x))), 1e-6)
        x = transcode(x / peak * 0.9, *drawn.codec) * (peak / 0.9)
    return x


def augment(x: np.ndarray, drawn: Draw) -> np.ndarray:
    """The whole chain on (n,) float32 at 16 kHz; returns (m,) float32."""
    return degrade(retime(x, drawn), drawn)


def _reverb(x: np.ndarray, decay_s: float, level: float, rng: np.random.Generator) -> np.ndarray:
    """A room: exponentially decaying noise under the direct sound."""
    t = np.arange(int(decay_s * RATE)) / RATE
    room = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    room *= level / np.sqrt(np.sum(room**2))
    room[0] = 1.0
    return fftconvolve(x, room)[: len(x)].astype(np.float32)


def _equalise(x: np.ndarray, gains_db: tuple[float, ...]) -> np.ndarray:
    """A microphone: a smooth frequency response through the gains."""
    size = next_fast_len(len(x), real=True)
    hz = np.linspace(0, 1, size // 2 + 1)  # of Nyquist's
    at = np.linspace(0, 1, len(gains_db)) ** 1.5
    response = 10 ** (np.interp(hz, at, gains_db) / 20)
    return irfft(rfft(x, size) * response, size)[: len(x)].astype(np.float32)


def _noise(x: np.ndarray, slope: float, below_db: float, rng: np.random.Generator) -> np.ndarray:
    """Noise between white and brown at a level below the clip's."""
    size = next_fast_len(len(x), real=True)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** slope
    noise = irfft(spectrum, size)[: len(x)]
    wanted = np.sqrt(np.mean(x**2)) * 10 ** (-below_db / 20)
    return (x + noise * (wanted / np.sqrt(np.mean(noise**2)))).astype(np.float32)


def transcode(x: np.ndarray, codec: str, compression: float) -> np.ndarray:
    """Encode and decode by one of `CODECS`; compression 0..1.

    The result is aligned to the input to a few samples and has its length.
    """
    rate = 8000 if codec in ("ulaw", "alaw") else RATE
    container = {"mp3": "MP3", "vorbis": "OGG", "opus": "OGG", "ulaw": "WAV", "alaw": "WAV"}[codec]
    subtype = {"mp3": "MPEG_LAYER_III"}.get(codec, codec.upper())
    extra = {"compression_level": compression} if rate == RATE else {}
    file = io.BytesIO()
    plain = x if rate == RATE else soxr.resample(x, RATE, rate)
    soundfile.write(file, plain, rate, format=container, subtype=subtype, **extra)
    file.seek(0)
    coded, _ = soundfile.read(file, dtype="float32")
    return _fit(coded if rate == RATE else soxr.resample(coded, rate, RATE), len(x))


def _fit(x: np.ndarray, n: int) -> np.ndarray:
    """Cut or pad with zeros to n samples."""
    return np.pad(x[:n], (0, max(0, n - len(x)))).astype(np.float32)
