"""Shapley values of frequency bands: which bands moved the logit, and how far.

The game: players are bands, v(S) is the logit when the clip's spectrogram keeps its magnitudes in
the bands of S and falls to the floor in the others; see `spectrum.patches` and `shapley.solve`.
"""

from __future__ import annotations

from itertools import pairwise

from detectors.audio import Waveform
from detectors.detector import Detector

from .explanation import ExplainError, Explanation
from .game import Progress
from .shapley import alone, solve
from .spectrum import default_budget, large, patches, spectrum

BANDS = range(2, 33)
ALONE = (
    "Each value is what the band adds to the background alone, and an equal share of what bands do "
    "together."
)


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
    """Shapley values (bands,) of equal bands from 0 Hz to 8 kHz, over the decisive stretch.

    bands: 2 to 32. budget: coalitions that may be played, each a forward; by default the 256 that
    make 8 bands exact, or 128 on a network of over a million weights. Values are exact where all
    2^bands fit, else they have standard errors, and still add up. On a network that takes seconds
    for a few dozen the default is `shapley.alone`. baseline and start_s: see
    `spectrum.spectrum`. Raises ExplainError.
    """
    if bands not in BANDS:
        raise ExplainError(f"bands is a number from {BANDS[0]} to {BANDS[-1]}, not {bands}.")
    game = patches(spectrum(detector, wave, baseline, start_s), 1, bands)
    notes = game.notes
    if budget is None and large(detector):
        solution = alone(game, progress)
        notes += (ALONE,)
    else:
        budget = default_budget(detector) if budget is None else budget
        solution = solve(game, budget, seed, progress)
    return Explanation(
        method="shapley-bands",
        detector=detector.config.name,
        values=solution.values,
        times=None,
        freqs=game.freqs,
        names=tuple(f"{a:.0f} to {b:.0f} Hz" for a, b in pairwise(game.freqs)),
        full=solution.full,
        empty=solution.empty,
        residual=solution.residual,
        stderr=solution.stderr,
        forwards=game.forwards,
        notes=notes,
    )
