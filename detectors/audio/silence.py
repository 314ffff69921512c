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
BLOCK = 1 << 18  # samples at once, so that hours take little memory beside themselves
BITS = 14  # of the 23 of a mantissa that are left out: levels to 0.2 %


def audible(samples: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of (n,) float32 samples at 16 kHz, |x| <= 1, that are kept, half-open and in order.

    What comes before the first loud sample and after the last one goes, and what lies between two
    that are further apart than words of a sentence. All is kept where nothing is loud.
    """
    least = _level(samples) * 10 ** (-QUIET_DB / 20)
    ranges: list[tuple[int, int]] = []
    for first in range(0, len(samples), BLOCK):
        first = max(0, first - TOGETHER)
        block = np.abs(samples[first : first + BLOCK + 2 * TOGETHER])
        loud = np.flatnonzero(block > least)
        near = np.diff(loud, prepend=-BLOCK, append=3 * BLOCK) <= TOGETHER
        loud = first + loud[near[1:] | near[:-1]]
        apart = np.diff(loud, prepend=-BLOCK, append=first + 3 * BLOCK) > LONGEST_PAUSE
        starts, ends = loud[apart[:-1]].tolist(), (loud[apart[1:]] + 1).tolist()
        for start, end in zip(starts, ends, strict=True):
            if ranges and start - ranges[-1][1] < LONGEST_PAUSE:
                start = ranges.pop()[0]
            ranges.append((start, end))
    return [r for r in ranges if r[1] - r[0] >= SHORTEST] or [(0, len(samples))]


def _level(samples: np.ndarray) -> float:
    """The size that halves the sum of all sizes of (n,), of those not far below the loudest.

    Silence adds nothing to it, hiss is too far below, and a click is too short. The loudest is
    what halves the energy, of all and once more without what is far below: minutes of hiss.
    """
    peak = float(max(samples.max(initial=0), -samples.min(initial=0)))
    if not peak:
        return 0.0
    # The bits of floats are in the order of their values: bins as wide as they are large.
    sizes = np.arange((1 << (30 - BITS)), dtype=np.uint32) << BITS
    sizes = sizes.view(np.float32).astype(np.float64)
    counts = np.zeros(len(sizes), np.int64)
    for first in range(0, len(samples), BLOCK):
        block = np.abs(samples[first : first + BLOCK]) / np.float32(peak)
        counts += np.bincount(block.view(np.uint32) >> BITS, minlength=len(sizes))
    floor = level = 0.0
    for power in (2, 2, 1):
        total = np.cumsum(np.where(sizes >= floor, counts * sizes**power, 0))
        level = float(sizes[np.searchsorted(total, total[-1] / 2)])
        floor = level * 10 ** (-RANGE_DB / 20)
    return level * peak
