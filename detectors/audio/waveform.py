"""A recording that can be scored, what is known of it, and the error of one that cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import HearsayError

RATE = 16_000  # Hz, of every Waveform


class AudioError(HearsayError):
    """A recording that cannot be used; str() is one sentence for the user.

    kind: "unreadable", "empty", "no-audio", "not-finite", "too-short", "no-speech" or "too-long".
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(kind, sentence)  # both, so that it can be pickled
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True)
class Facts:
    """What a recording was before it became mono at 16 kHz.

    clipped is the share of original samples at full scale, peak the largest original level (1.0 is
    full scale), bandwidth_hz see `bandwidth`, speech_seconds see `speech_seconds`. kbps is the bit
    rate of a file in a lossy codec, pictures and all, None of other sources.
    """

    seconds: float
    rate: int
    channels: int
    container: str
    codec: str
    peak: float
    clipped: float
    bandwidth_hz: float
    speech_seconds: float
    notes: tuple[str, ...]
    kbps: float | None = None


@dataclass(frozen=True)
class Waveform:
    """A recording that can be scored: samples (n,) float32, mono, 16 kHz, |x| <= 1."""

    samples: np.ndarray
    facts: Facts


def bare(samples: np.ndarray) -> Waveform:
    """Samples (n,) float32 at 16 kHz as a recording of which nothing else is known."""
    peak = float(np.abs(samples).max(initial=0.0))
    return Waveform(samples, Facts(len(samples) / RATE, RATE, 1, "", "", peak, 0.0, 0.0, 0.0, ()))
