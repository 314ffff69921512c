"""One recording scored by several detectors: one that a fusion holds as well runs once.

session = ScoringSession(read("clip.m4a"))
print([session.score(detector).llr for detector in detectors])
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch

from .audio import Waveform
from .detector import Detector, Score

PIECE = 16  # windows that are scored without a pause: about a second


class ScoringSession:
    """Scores of one recording; the logit of every window is kept, by a detector's digest.

    pause: called now and then, for others to run meanwhile; what it raises ends the scoring.
    """

    def __init__(self, wave: Waveform, pause: Callable[[], None] | None = None) -> None:
        self.wave = wave
        self.pause = pause
        self.logits: dict[str, dict[int, float]] = defaultdict(dict)  # digest -> start -> logit

    def score(self, detector: Detector) -> Score:
        """What `detector.score` returns, from what has been scored already as far as that goes."""
        return detector.score(self.wave, self._logits(detector, detector.starts(self.wave)))

    def _logits(self, detector: Detector, starts: list[int]) -> np.ndarray:
        """Logits (windows,) of the windows that begin at `starts`."""
        known = self.logits[detector.digest]
        missing = [start for start in starts if start not in known]
        if missing:
            known.update(zip(missing, self._fresh(detector, missing).tolist(), strict=True))
        return np.array([known[start] for start in starts])

    def _fresh(self, detector: Detector, starts: list[int]) -> np.ndarray:
        if not detector.members:
            return self._in_pieces(detector, starts)
        logits = np.stack([self._logits(member, starts) for member in detector.members], axis=1)
        with torch.inference_mode():
            return detector.combine(torch.from_numpy(logits)).numpy()

    def _in_pieces(self, detector: Detector, starts: list[int]) -> np.ndarray:
        """Logits of the windows, in the batches in which they are scored without a pause."""
        if self.pause is None:
            return detector.window_logits(self.wave.samples, starts)
        step = detector.batch * max(1, PIECE // detector.batch)
        pieces = []
        for i in range(0, len(starts), step):
            if i:
                self.pause()
            pieces.append(detector.window_logits(self.wave.samples, starts[i : i + step]))
        return np.concatenate(pieces)
