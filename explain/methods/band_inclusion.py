"""Each band by itself: what it adds to the background alone, and an equal share of the rest.

The game is that of `shapley_bands`, of which ten coalitions are played for eight bands instead of
256, so that a large network answers in a second or two. It says nothing of how bands act together.
"""

from __future__ import annotations

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.shapley import alone
from ..explanation import Explanation
from . import shapley_bands


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    bands: int = 8,
    baseline: str = "noise",
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Values (bands,) of equal bands from 0 Hz to 8 kHz, over the analysed segment.

    Values sum to v(all) - v(none), and are those of `shapley-bands` where no band acts on another;
    see `shapley.alone`.

    Args:
        bands: 2 to 32, in bands + 2 forward passes.
        baseline, start_s: See `spectrogram.spectrum`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    game = shapley_bands.game(detector, wave, bands, baseline, start_s)
    return game.explanation(alone(game, progress))
