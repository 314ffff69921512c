"""Augmentations of a waveform, drawn alike for both classes, so that channel says nothing.

Each takes (n,) float32 at 16 kHz and a generator, and returns (n,) float32.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import soundfile
import soxr
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve

from detectors.audio.reader import RATE

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Share = Annotated[float, Field(ge=0, le=1)]

# how often each codec is drawn; Opus takes four times as long as the others together
CODECS = {"mp3": 0.35, "vorbis": 0.3, "opus": 0.05, "ulaw": 0.15, "alaw": 0.15}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Augment:
    """Probability of each augmentation; 0 leaves it out."""

    colour: Share = 0.5
    reverb: Share = 0.15
    noise: Share = 0.4
    bandwidth: Share = 0.25
    codec: Share = 0.4
    clip: Share = 0.05
    edges: Share = 0.3
    speed: Share = 0.0


def augment(x: np.ndarray, chances: Augment, rng: np.random.Generator) -> np.ndarray:
    """One random chain in the order of a recording: `move`, then `transmit`."""
    return transmit(move(x, chances, rng), chances, rng)


def move(x: np.ndarray, chances: Augment, rng: np.random.Generator) -> np.ndarray:
    """The beginning of the chain, which alone changes what is heard when."""
    return _chain(x, ((chances.edges, edges), (chances.speed, speed)), rng)


def transmit(x: np.ndarray, chances: Augment, rng: np.random.Generator) -> np.ndarray:
    """The rest of the chain, which keeps the length: room, microphone, noise, channel, codec."""
    steps = (
        (chances.reverb, reverb),
        (chances.colour, colour),
        (chances.noise, noise),
        (chances.clip, overdrive),
        (chances.bandwidth, bandwidth),
        (chances.codec, codec),
    )
    return _chain(x, steps, rng)


def _chain(
    x: np.ndarray, steps: Sequence[tuple[float, Step]], rng: np.random.Generator
) -> np.ndarray:
    for chance, step in steps:
        if rng.random() < chance:
            x = step(x, rng)
    return x


def edges(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Trim up to 0.3 s of each end, or put up to 0.5 s of near-silence before or after."""
    if rng.random() < 0.5 and len(x) > 1.5 * RATE:
        first, last = rng.integers(0, int(0.3 * RATE), 2)
        return x[first : len(x) - last]
    floor = 10 ** rng.uniform(-5, -3.5)
    pad = rng.standard_normal(int(rng.uniform(0.05, 0.5) * RATE)).astype(np.float32) * floor
    return np.concatenate([pad, x] if rng.random() < 0.5 else [x, pad]).astype(np.float32)


def speed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Play up to 8 % faster or slower, pitch and all."""
    return soxr.resample(x, RATE, RATE * rng.uniform(0.92, 1.08), quality="MQ")


def reverb(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room: exponentially decaying noise, 0.1 to 0.6 s, mixed under the direct sound."""
    decay = rng.uniform(0.1, 0.6)
    t = np.arange(int(decay * RATE)) / RATE
    room = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay)
    room *= 10 ** rng.uniform(-1.5, -0.3) / np.sqrt(np.sum(room**2))
    room[0] = 1.0
    return fftconvolve(x, room)[: len(x)].astype(np.float32)


def colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone: a smooth random response, up to about 8 dB either way."""
    size = next_fast_len(len(x), real=True)
    hz = np.linspace(0, 1, size // 2 + 1)
    response = 10 ** (np.interp(hz, np.linspace(0, 1, 8) ** 1.5, rng.normal(0, 4, 8)) / 20)
    return irfft(rfft(x, size) * response, size)[: len(x)].astype(np.float32)


def noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White to brown noise at 8 to 45 dB below the clip."""
    size = next_fast_len(len(x), real=True)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 1)
    hiss = irfft(spectrum, size)[: len(x)]
    wanted = np.sqrt(np.mean(x**2)) * 10 ** (-rng.uniform(8, 45) / 20)
    return (x + hiss * (wanted / np.sqrt(np.mean(hiss**2)))).astype(np.float32)


def overdrive(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clip the peaks at 0.2 to 0.8 of the highest one."""
    limit = np.max(np.abs(x)) * rng.uniform(0.2, 0.8)
    return np.clip(x, -limit, limit)


def bandwidth(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Down to a lower sample rate (8 to 14 kHz) and back."""
    low = int(rng.choice([8000, 8000, 11025, 12000, 14000]))
    return _fit(soxr.resample(soxr.resample(x, RATE, low), low, RATE), len(x))


def codec(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through MP3, Vorbis, Opus or telephone companding, and back."""
    name = str(rng.choice(list(CODECS), p=list(CODECS.values())))
    level = float(rng.uniform(0.2, 0.9))
    peak = max(float(np.max(np.abs(x))), 1e-6)
    return through(x / peak * 0.9, name, level) * (peak / 0.9)


def through(x: np.ndarray, name: str, level: float) -> np.ndarray:
    """Encode and decode by one of `CODECS`; level 0..1 compresses more the higher it is.

    The result is aligned to the input to a few samples and has its length.
    """
    rate = 8000 if name in ("ulaw", "alaw") else RATE
    container = {"mp3": "MP3", "vorbis": "OGG", "opus": "OGG", "ulaw": "WAV", "alaw": "WAV"}[name]
    subtype = {"mp3": "MPEG_LAYER_III"}.get(name, name.upper())
    extra = {"compression_level": level} if rate == RATE else {}
    file = io.BytesIO()
    plain = x if rate == RATE else soxr.resample(x, RATE, rate)
    soundfile.write(file, plain, rate, format=container, subtype=subtype, **extra)
    file.seek(0)
    coded, _ = soundfile.read(file, dtype="float32")
    return _fit(coded if rate == RATE else soxr.resample(coded, rate, RATE), len(x))


def _fit(x: np.ndarray, n: int) -> np.ndarray:
    """Cut or pad with zeros to n samples."""
    return np.pad(x[:n], (0, max(0, n - len(x)))).astype(np.float32)
