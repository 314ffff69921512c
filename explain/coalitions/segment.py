"""The segment: the part of a clip that one network window reads, levelled once and for all.

Everything an explanation changes is changed here, in the clip's own samples and after the level
was normalised and the spectrogram's band means were taken, so that masking one part never changes
what remains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector, cut

from ..explanation import ExplainError


@dataclass(frozen=True, eq=False)
class Segment:
    """samples: (n,) levelled, n <= window, from sample `start` of the clip."""

    start: int
    samples: Tensor
    window: int
    notes: tuple[str, ...] = ()

    def fill(self, x: Tensor) -> Tensor:
        """(k, n) -> (k, window): what is too short is repeated, as the detector repeats it."""
        repeats = -(-self.window // x.shape[-1])
        return x.repeat(1, repeats)[:, : self.window]

    def pin(self, detector: Detector) -> Detector:
        """The detector for parts of this segment: at the whole's level and band means."""
        return detector.with_fixed_band_means(self.fill(self.samples[None])[0])

    def seconds(self, samples: np.ndarray) -> np.ndarray:
        """Sample positions in the segment -> seconds of the clip."""
        return (self.start + np.asarray(samples, dtype=np.float64)) / RATE


def most_suspicious_segment(
    detector: Detector, wave: Waveform, start_s: float | None = None
) -> Segment:
    """The window of the clip that an explanation looks into.

    A clip longer than a window is scored first, and the window with the highest LLR is taken,
    whatever the verdict. A clip shorter than a window is taken whole.

    Args:
        start_s: Where it begins, in seconds of `wave.samples`, for a caller that knows; it is moved
            to lie within the clip.

    Raises:
        ExplainError: The clip holds no samples.
    """
    n, window = len(wave.samples), detector.config.window
    start = 0
    notes: tuple[str, ...] = ()
    if n == 0:
        raise ExplainError("The clip holds no samples, so there is nothing to explain.")
    if start_s is not None:
        start = min(max(round(start_s * RATE), 0), max(n - window, 0))
    elif n > window:
        start, notes = _most_suspicious(detector, wave)
    filled = detector.level(torch.from_numpy(cut(wave.samples, start, window))[None])
    return Segment(start, filled[0, : min(n, window)].detach(), window, notes)


def _most_suspicious(detector: Detector, wave: Waveform) -> tuple[int, tuple[str, ...]]:
    score = detector.score(wave)
    worst = max(score.windows, key=lambda w: w.llr)
    verdict = detector.config.calibration.verdict(score.llr)
    note = f"Explained is {worst.start_s:.1f} to {worst.end_s:.1f} s, where the evidence for fake "
    note += f"is strongest (LLR {worst.llr:+.2f} there)"
    note += "" if verdict == "fake" else f", though the verdict on the whole is {verdict}"
    return round(float(wave.position(worst.start_s))), (f"{note}.",)
