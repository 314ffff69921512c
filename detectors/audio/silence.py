"""Silences of a recording: there is nothing in them to judge.

    kept = audible(samples)  # [(start, end), ...]; what lies between is left out

They are found by the size of single samples. A voice-activity detector decides by what stands
around, and a frame by what shares it with silence: both would end elsewhere once silence is
inserted. Here the same samples remain, whatever quiet is put before them, behind them or into a
long pause.
"""

from __future__ import annotations

import numpy as np

QUIET_DB = 20.0  # below the level of the voice
RANGE_DB = 30.0  # below the loudest, where the level of the voice is looked for
TOGETHER = 16  # samples, 1 ms: a loud one without another so near is a peak of hiss
LONGEST_PAUSE = 3200  # samples, 0.2 s: up to here a pause stays as it is
SHORTEST = 160  # samples, 10 ms: less between two silences is a click


def audible(samples: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of (n,) samples at 16 kHz that are kept, half-open and in order.

    What comes before the first loud sample and after the last one goes, and what lies between two
    that are further apart than words of a sentence. All is kept where nothing is loud.
    """
    size = np.abs(samples)
    loud = np.flatnonzero(size > _level(size) * 10 ** (-QUIET_DB / 20))
    near = np.diff(loud, prepend=-TOGETHER - 1, append=len(size) + TOGETHER + 1) <= TOGETHER
    loud = loud[near[1:] | near[:-1]]
    ends = np.diff(loud, prepend=-len(size), append=3 * len(size)) > LONGEST_PAUSE
    if not len(loud):
        return [(0, len(size))]
    ends[[0, -1]] = True
    ranges = zip(loud[ends[:-1]].tolist(), (loud[ends[1:]] + 1).tolist(), strict=True)
    kept = [(start, end) for start, end in ranges if end - start >= SHORTEST]
    return kept or [(0, len(size))]


def _level(size: np.ndarray) -> float:
    """The size that halves the sum of all sizes (n,), of those that are not far below the loudest.

    Silence adds nothing to it, hiss is too far below, and a click is too short.
    """
    falling = np.sort(size)[::-1].astype(np.float64)
    loudest = _halving(falling**2, falling)
    falling = falling[falling >= loudest * 10 ** (-RANGE_DB / 20)]
    return _halving(falling, falling)


def _halving(weights: np.ndarray, values: np.ndarray) -> float:
    """The value at which the running sum of weights reaches half."""
    total = np.cumsum(weights)
    return float(values[np.searchsorted(total, total[-1] / 2)]) if len(values) else 0.0
