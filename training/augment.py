"""Augmentation of waveforms, alike for both classes, so that the channel says nothing of the label.

Chance decides first (`draw`), the sound is changed afterwards (`retime`, then `degrade`), so that a
recording, a copy of it and the labels of their samples can share one `Draw`. What recordings go
through is in `corpora.channels`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import soxr
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from corpora import channels
from corpora.channels import CODECS, Codec
from detectors.audio import RATE

Share = Annotated[float, Field(ge=0, le=1)]

# How often each codec is drawn, and at which kbit/s
DRAWN_CODECS: dict[str, tuple[float, tuple[float, ...]]] = {
    "opus-voip": (0.28, (6, 8, 12, 16, 20, 24, 32)),
    "opus-audio": (0.1, (12, 16, 24, 32)),
    "aac": (0.16, (16, 24, 32, 48, 64)),
    "mp3": (0.2, (16, 24, 32, 48, 64)),
    "amr-nb": (0.08, (4.75, 5.9, 7.4, 12.2)),
    "g722": (0.03, (64,)),
    "g726": (0.03, (16, 24, 32)),
    "mu-law": (0.06, (64,)),
    "a-law": (0.06, (64,)),
}
TWICE = 0.15  # share of the coded clips that go through a second codec: voice messages forwarded
BANDWIDTHS_HZ = (8000, 8000, 11025, 12000, 14000)
NOISES = ("coloured", "coloured", "babble", "music")


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Augment:
    """Probability of each augmentation; 0 leaves it out."""

    edges: Share = 0.15
    speed: Share = 0.0
    reverb: Share = 0.1
    equaliser: Share = 0.3
    noise: Share = 0.2
    suppression: Share = 0.0
    gain_control: Share = 0.0
    clipping: Share = 0.03
    offset: Share = 0.0
    bandwidth: Share = 0.12
    codec: Share = 0.2
    packet_loss: Share = 0.0
    quantisation: Share = 0.0


@dataclass(frozen=True)
class Draw:
    """What chance decided for one clip, in the order of a recording; None leaves a step out."""

    seed: int  # of whatever is random in the steps
    trim: tuple[int, int] | None = None  # samples off the beginning and the end
    pad: tuple[int, float, bool] | None = None  # samples of near-silence, amplitude, in front
    speed: float | None = None  # factor on the tempo, pitch and all
    reverb: tuple[float, float, float] | None = None  # see `channels.room`
    equaliser: tuple[float, ...] | None = None  # gains in dB, at eight frequencies up to Nyquist's
    noise: tuple[str, float] | None = None  # one of NOISES, dB below the clip
    suppression: float | None = None  # see `channels.noise_suppression`
    gain_control: float | None = None  # seconds
    clipping: float | None = None  # share of the highest peak
    offset: float | None = None  # share of the highest peak
    bandwidth: int | None = None  # sample rate in Hz
    codecs: tuple[Codec, ...] = ()  # one after the other
    packet_loss: float | None = None  # share of the packets
    quantisation: float | None = None  # bits


def draw(chances: Augment, samples: int, rng: np.random.Generator) -> Draw:
    """Decide how to augment a clip of so many samples."""
    on = {name: rng.random() < chance for name, chance in dataclasses.asdict(chances).items()}
    trim = on["edges"] and samples > 1.5 * RATE and rng.random() < 0.5
    first, last = rng.integers(0, int(0.3 * RATE), 2).tolist()
    pad = int(rng.uniform(0.05, 0.5) * RATE), 10 ** rng.uniform(-5, -3.5), rng.random() < 0.5
    drawn = {
        "speed": rng.uniform(0.92, 1.08),
        "reverb": (rng.uniform(0.15, 0.8), rng.uniform(-2, 15), rng.uniform(2500, 7500)),
        "equaliser": tuple(rng.normal(0, 4, 8)),
        "noise": (str(rng.choice(NOISES)), rng.uniform(5, 40)),
        "suppression": rng.uniform(0.3, 1.0),
        "gain_control": 10 ** rng.uniform(-1.3, 0.3),
        "clipping": rng.uniform(0.2, 0.8),
        "offset": rng.uniform(-0.02, 0.02),
        "bandwidth": int(rng.choice(BANDWIDTHS_HZ)),
        "packet_loss": rng.uniform(0.01, 0.1),
        "quantisation": rng.uniform(6, 11),
    }
    codecs = _draw_codec(rng), _draw_codec(rng)
    return Draw(
        seed=int(rng.integers(2**32)),
        trim=(first, last) if trim else None,
        pad=pad if on["edges"] and not trim else None,
        codecs=codecs[: 1 + (rng.random() < TWICE)] if on["codec"] else (),
        **{name: value for name, value in drawn.items() if on[name]},  # type: ignore[arg-type]
    )


def _draw_codec(rng: np.random.Generator) -> Codec:
    name = str(rng.choice([*DRAWN_CODECS], p=[share for share, _ in DRAWN_CODECS.values()]))
    return CODECS[name].at(float(rng.choice(DRAWN_CODECS[name][1])))


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
        x = channels.room(x, *drawn.reverb, rng)
    if drawn.equaliser:
        x = channels.equalise(x, drawn.equaliser)
    if drawn.noise:
        kind, below_db = drawn.noise
        x = channels.add(x, _noise(kind, x, rng), below_db)
    if drawn.suppression:
        x = channels.noise_suppression(x, drawn.suppression)
    if drawn.gain_control:
        x = channels.gain_control(x, drawn.gain_control)
    peak = max(float(np.max(np.abs(x))), 1e-6)
    if drawn.clipping:
        limit = peak * np.float32(drawn.clipping)
        x = np.clip(x, -limit, limit)
    if drawn.offset:
        x = x + np.float32(peak * drawn.offset)
    if drawn.bandwidth:
        low = soxr.resample(x, RATE, drawn.bandwidth)
        x = channels.fit(soxr.resample(low, drawn.bandwidth, RATE), len(x))
    for codec in drawn.codecs:
        x = channels.encode(x / peak * np.float32(0.9), codec) * np.float32(peak / 0.9)
    if drawn.packet_loss:
        x = channels.packet_loss(x, drawn.packet_loss, rng)
    if drawn.quantisation:
        x = channels.quantise(x, drawn.quantisation)
    return x.astype(np.float32)


def augment(x: np.ndarray, drawn: Draw) -> np.ndarray:
    """The whole chain on (n,) float32 at 16 kHz; returns (m,) float32."""
    return degrade(retime(x, drawn), drawn)


def _noise(kind: str, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise (n,) of one of NOISES for a clip x (n,)."""
    if kind == "babble":
        return channels.babble(x, int(rng.integers(3, 8)), rng)
    if kind == "music":
        return channels.music(len(x), rng)
    return channels.coloured_noise(len(x), rng.uniform(0, 1), rng)
