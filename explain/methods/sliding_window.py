"""Sliding window: what the detector says of each second by itself, as if nothing else was recorded.

Nothing is masked and nothing stands in the place of what is left out, so no choice of a baseline is
in the result; in return it does not say how parts work together, nor add up to the verdict. The
"sub-clips that triggered it" of forensic tools, as a map on the logit scale.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.segment import most_suspicious_segment
from ..explanation import ExplainError, Explanation

SHORTEST_S = 0.25
FINE = 4  # cells from one window's middle to the next


def refusal(detector: Detector) -> str | None:
    """Why the network cannot score a second by itself, or None if it can."""
    if any(part.net.whole_windows for _, part in detector.parts):
        return "its network reads whole windows only"
    return None


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    window_s: float | None = None,
    hop_s: float | None = None,
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """How far above the detector's threshold each moment's surroundings score alone, (cells,).

    Windows keep the level that they have in the segment; at its ends a window is what is there of
    it, repeated. At each window's middle stands the mean of the windows that reach it, the nearer
    the more. Cells, a quarter of `hop_s` long, lie on straight lines from one middle to the next,
    and are divided by their number, so that the map adds up to what is said on average. Positive:
    alone it would be called fake. No completeness is promised.

    Args:
        window_s: Length in seconds, 0.25 to the detector's own window; default: 1, or a quarter of
            the detector's window if that is less.
        hop_s: Seconds from one middle to the next; default: a quarter of `window_s`.
        start_s: See `most_suspicious_segment`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    longest = detector.config.window / RATE
    window_s = min(1.0, max(longest / 4, SHORTEST_S)) if window_s is None else window_s
    hop_s = window_s / 4 if hop_s is None else hop_s
    if not SHORTEST_S <= window_s <= longest:
        raise ExplainError(
            f"window_s is from {SHORTEST_S:g} to {longest:g} seconds, not {window_s:g}."
        )
    if not 0.05 <= hop_s <= window_s:
        raise ExplainError(f"hop_s is from 0.05 to {window_s:g} seconds, not {hop_s:g}.")
    segment = most_suspicious_segment(detector, wave, start_s)
    n = len(segment.samples)
    size = min(round(window_s * RATE), n)
    count = max(round(n / RATE / hop_s), 1)
    middles = (np.arange(count) + 0.5) * n / count
    pinned = segment.pin(detector)
    logits = []
    with torch.inference_mode():
        for i in range(0, len(middles), detector.batch):
            rows = [_around(segment.samples, m, size) for m in middles[i : i + detector.batch]]
            logits.append(pinned.logits(torch.stack(rows), levelled=True).double().numpy())
            if progress:
                progress(min((i + detector.batch) / len(middles), 1.0))
        full = float(pinned.logits(segment.fill(segment.samples[None]), levelled=True))
    near = np.clip(1 - np.abs(middles[:, None] - middles) / (size / 2), 0, None)
    smooth = near @ np.concatenate(logits) / near.sum(axis=1)
    edges = np.linspace(0, n, FINE * count + 1)
    cells = np.interp((edges[:-1] + edges[1:]) / 2, middles, smooth)
    calibration = detector.config.calibration
    threshold = (calibration.threshold - calibration.offset) / calibration.scale
    return Explanation(
        values=(cells - threshold) / len(cells),
        times=segment.seconds(edges),
        full=full,
        forwards=count + 1,
        notes=segment.notes,
    )


def _around(samples: Tensor, middle: float, size: int) -> Tensor:
    """(size,) samples around a middle; beyond the ends what is there is repeated."""
    first = round(middle - size / 2)
    there = samples[max(first, 0) : first + size]
    return there.repeat(-(-size // len(there)))[:size]
