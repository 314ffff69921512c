"""Partial spoofs: real recordings in which a known segment, or a known band, is synthetic.

The ground truth needs nobody's opinion: what was spliced in is synthetic, the rest is real.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.fakers import FAKERS
from corpora.partial_spoof import self_splice, splice, splice_band
from detectors.audio import RATE, Waveform, bare, speech_spans

# by the copies in training/configs; "smoothed", which keeps most of a recording, is left out
SEEN, UNSEEN = ("griffin-lim", "world"), ("lpc", "sinusoidal")
CELL_S, CELL_HZ = 0.01, 125.0  # of the grids on which truth and relevance are compared
SECONDS = (0.5, 1.5)
LARGEST_SHARE = 0.6  # of the clip
SPOKEN = 0.8  # share of a segment that should be speech
BAND_HZ = 1000.0
FAINT_DB = 50.0  # a band this far below the loudest is empty: exchanging it changes nothing


@dataclass(frozen=True, eq=False)
class PartialSpoof:
    """A spliced clip.

    Attributes:
        kind: "time", "band" or "control".
        faker: "" for the control, a segment of the clip itself pasted back a little late.
        low: Where the splice begins, in seconds or Hz.
        high: Where it ends.
    """

    kind: str
    faker: str
    wave: Waveform
    low: float
    high: float

    @property
    def axis(self) -> str:
        return "band" if self.kind == "band" else "time"

    @property
    def grid(self) -> np.ndarray:
        """Edges of the cells, in seconds or Hz."""
        if self.axis == "band":
            return np.arange(0, RATE / 2 + 1, CELL_HZ)
        return np.arange(len(self.wave.samples) // round(CELL_S * RATE) + 1) * CELL_S

    @property
    def truth(self) -> np.ndarray:
        """Whether the middle of each cell lies in the splice."""
        middle = (self.grid[:-1] + self.grid[1:]) / 2
        return (middle >= self.low) & (middle < self.high)


def partial_spoofs(
    x: np.ndarray, name: str, fakers: Sequence[str], seed: int
) -> list[PartialSpoof]:
    """Splices in time and in frequency of a bona fide clip by each faker, and the control.

    All fakers exchange the same segment and the same band. What is drawn depends on (seed, name)
    alone.

    Args:
        x: (n,) float32 at 16 kHz.

    Returns:
        [] when no speech is heard or the clip is too short.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    longest = min(SECONDS[1], LARGEST_SHARE * len(x) / RATE)
    spans = speech_spans(x)
    if longest < SECONDS[0] or not spans:
        return []
    start, end = _segment(len(x), spans, longest, rng)
    low = _band(x, rng)
    spoofs = [PartialSpoof("control", "", bare(self_splice(x, start, end)), start, end)]
    for faker in fakers:
        copy = FAKERS[faker](x, rng)
        spoofs.append(PartialSpoof("time", faker, bare(splice(x, copy, start, end)), start, end))
        banded = bare(splice_band(x, copy, low, low + BAND_HZ))
        spoofs.append(PartialSpoof("band", faker, banded, low, low + BAND_HZ))
    return spoofs


def _segment(
    n: int, spans: Sequence[tuple[float, float]], longest: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Start and end in seconds, on the grid: the first of 50 draws that is mostly speech."""
    cells = n // round(CELL_S * RATE)
    middle = (np.arange(cells) + 0.5) * CELL_S
    spoken = np.any([(middle >= a) & (middle < b) for a, b in spans], axis=0)
    size = int(rng.uniform(SECONDS[0], longest) / CELL_S)
    starts = rng.integers(0, cells - size + 1, 50)
    share = np.array([spoken[s : s + size].mean() for s in starts])
    start = int(starts[np.argmax(np.minimum(share, SPOKEN))])
    return start * CELL_S, (start + size) * CELL_S


def _band(x: np.ndarray, rng: np.random.Generator) -> float:
    """Lower border in Hz of one of the 1-kHz bands that hold sound."""
    power = np.square(np.abs(np.fft.rfft(x.astype(np.float64))))
    place = np.minimum(np.fft.rfftfreq(len(x), 1 / RATE) // BAND_HZ, RATE / 2 / BAND_HZ - 1)
    decibels = 10 * np.log10(np.bincount(place.astype(int), weights=power) + 1e-12)
    return BAND_HZ * float(rng.choice(np.flatnonzero(decibels > decibels.max() - FAINT_DB)))
