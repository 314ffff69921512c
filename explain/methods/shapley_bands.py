"""Shapley values of frequency bands: which bands moved the logit, and how far.

The game: players are bands, v(S) is the logit when the clip's spectrogram keeps its magnitudes in
the bands of S and falls to the floor in the others; see `spectrogram.patches` and `shapley.solve`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game, Progress
from ..coalitions.shapley import solve
from ..coalitions.spectrogram import bands_budget, patches, spectrum
from ..explanation import ExplainError, Explanation

BANDS = range(2, 33)


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    bands: int = 8,
    baseline: str = "noise",
    budget: int | None = None,
    seed: int = 0,
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Shapley values (bands,) of equal bands from 0 Hz to 8 kHz, over the analysed segment.

    Exact where all 2^bands coalitions fit the budget; otherwise values have standard errors, and
    still add up.

    Args:
        bands: 2 to 32.
        budget: Coalitions that may be played, each a forward pass; by default the 256 that make 8
            bands exact, or fewer on a large network (`spectrogram.bands_budget`).
        baseline, start_s: See `spectrogram.spectrum`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    played = game(detector, wave, bands, baseline, start_s)
    if budget is None:
        budget = max(bands_budget(detector), 4 * bands)  # with fewer a draw is refused
    return played.explanation(solve(played, budget, seed, progress))


def game(
    detector: Detector, wave: Waveform, bands: int, baseline: str, start_s: float | None
) -> Game:
    """The game of equal bands; ExplainError for a number of them that is none of `BANDS`."""
    if bands not in BANDS:
        raise ExplainError(f"bands is a number from {BANDS[0]} to {BANDS[-1]}, not {bands}.")
    game = patches(spectrum(detector, wave, baseline, start_s), 1, bands)
    assert game.freqs is not None
    names = tuple(f"{low:.0f} to {high:.0f} Hz" for low, high in pairwise(game.freqs))
    return replace(game, times=None, names=names)
