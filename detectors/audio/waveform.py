"""A recording that can be scored, what is known of it, and the error of one that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..errors import HearsayError
from .voice_activity import RATE, speech_spans


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
    full scale), bandwidth_hz see `bandwidth`, speech_seconds what silero-vad hears. kbps is the bit
    rate of sound in a lossy codec, without pictures and tags, None of other sources.
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
    """A recording that can be scored, without its long silences.

    Attributes:
        samples: (n,) float32, mono, 16 kHz, |x| <= 1.
        facts: Of the whole recording.
        kept: Which samples of the recording these are, as half-open ranges in order; empty: all.
        spans: Where speech is, (start, end) in seconds of `samples`; None: not looked for yet.
    """

    samples: np.ndarray
    facts: Facts
    kept: tuple[tuple[int, int], ...] = ()
    spans: tuple[tuple[float, float], ...] | None = None

    @cached_property
    def speech(self) -> tuple[tuple[float, float], ...]:
        """Where silero-vad hears speech, (start, end) in seconds of `samples`."""
        return tuple(speech_spans(self.samples)) if self.spans is None else self.spans

    @property
    def heard_s(self) -> float:
        """Seconds of speech that an answer stands on; all seconds where no speech is heard."""
        return sum(end - start for start, end in self.speech) or len(self.samples) / RATE

    @cached_property
    def _ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Kept ranges (k, 2), and where each begins in `samples` (k,)."""
        ranges = np.array(self.kept or [(0, len(self.samples))])
        return ranges, np.append(0, np.cumsum(ranges[:, 1] - ranges[:, 0]))[:-1]

    def recording_s(self, position: ArrayLike, ending: bool = False) -> np.ndarray:
        """Positions in `samples` (any shape) -> seconds of the recording.

        ending: A position at a seam means the end of what precedes it, not what follows.
        """
        ranges, firsts = self._ranges
        position = np.asarray(position, dtype=np.float64)
        side: Literal["left", "right"] = "left" if ending else "right"
        which = np.maximum(np.searchsorted(firsts, position, side) - 1, 0)
        return (ranges[which, 0] + position - firsts[which]) / RATE

    def position(self, recording_s: ArrayLike) -> np.ndarray:
        """Seconds of the recording -> positions in `samples`; of what is left out, its seam."""
        if not self.kept:
            return np.asarray(recording_s) * RATE
        ranges, firsts = self._ranges
        own = np.stack([firsts, firsts + ranges[:, 1] - ranges[:, 0]], axis=1)
        return np.interp(np.asarray(recording_s) * RATE, ranges.ravel(), own.ravel())

    def whole(self) -> np.ndarray:
        """The recording (n,), to be drawn: zeros where something was left out of `samples`."""
        if not self.kept:
            return self.samples
        whole = np.zeros(round(self.facts.seconds * RATE), np.float32)
        for (start, end), first in zip(self.kept, self._ranges[1].tolist(), strict=True):
            whole[start:end] = self.samples[first : first + end - start]
        return whole

    def silences(self) -> Iterator[tuple[float, float]]:
        """What was left out of `samples`: (start, end) in seconds of the recording."""
        if self.kept:
            edges = [0, *(edge for kept in self.kept for edge in kept)]
            edges.append(max(edges[-1], round(self.facts.seconds * RATE)))
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                if end > start:
                    yield start / RATE, end / RATE


def bare(samples: np.ndarray) -> Waveform:
    """Samples (n,) float32 at 16 kHz as a recording of which nothing else is known."""
    peak = float(np.abs(samples).max(initial=0.0))
    return Waveform(samples, Facts(len(samples) / RATE, RATE, 1, "", "", peak, 0.0, 0.0, 0.0, ()))
