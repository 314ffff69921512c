"""LIME (Ribeiro et al. 2016): a linear model of the detector around this clip.

Windows, or patches of the spectrogram, are switched off at random; a ridge regression that weighs
samples by their likeness to the clip predicts the logit from what was on. Its weights are the
explanation, and its R2 says how much of the logit they explain.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game, Progress, Solution
from ..coalitions.spectrogram import patches, patches_budget, spectrum
from ..coalitions.time_game import TimeOptions, time_game
from ..explanation import ExplainError, Explanation
from .shapley_time import check_players

KERNEL_WIDTH = 0.25  # cosine distance, as the authors' own code has it for images
SHRINK = 1e-3  # just enough that the regression is never singular


def over_windows(
    detector: Detector,
    wave: Waveform,
    *,
    players: int = 8,
    samples: int = 200,
    progress: Progress | None = None,
    **options: Unpack[TimeOptions],
) -> Explanation:
    """Surrogate's weights (players,) of equal windows across the analysed segment.

    empty is the logit without any window; no completeness is promised.

    Args:
        players: Windows, 2 to 64.
        samples: Coalitions that the surrogate is fitted on, at least 4 for each player.
        options: See `time_game`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    check_players(players)
    game = time_game(detector, wave, players, samples + 2, progress=progress, **options)
    return _explained(game, samples, options.get("seed", 0), progress)


def over_patches(
    detector: Detector,
    wave: Waveform,
    *,
    windows: int = 8,
    bands: int = 4,
    samples: int | None = None,
    baseline: str = "noise",
    seed: int = 0,
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Surrogate's weights (bands, windows) of time-frequency patches; see `over_windows`.

    Args:
        samples: By default see `spectrogram.patches_budget`.
        baseline, start_s: See `spectrogram.spectrum`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    samples = patches_budget(detector) if samples is None else samples
    game = patches(spectrum(detector, wave, baseline, start_s), windows, bands)
    return _explained(game, samples, seed, progress)


def _explained(game: Game, samples: int, seed: int, progress: Progress | None) -> Explanation:
    """Surrogate of a game from `samples` coalitions in which each player is on by even chance."""
    n = game.players
    if samples < 4 * n:
        raise ExplainError(f"{n} players need {4 * n} samples or more, not {samples}.")
    empty, full = game.play(torch.tensor([[False], [True]]).expand(2, n))
    on = np.random.default_rng(seed).integers(2, size=(samples, n))
    weights, r2 = surrogate(on, game.play(torch.from_numpy(on > 0), progress))
    note = f"The surrogate explains {100 * r2:.0f} % of the logit's variance (R2)."
    return game.explanation(Solution(weights, float(full), float(empty), efficient=False), note)


def surrogate(on: np.ndarray, worth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weighted ridge regression with an intercept, in closed form.

    A sample weighs exp(-d^2 / (2 width^2)), where d is its cosine distance from the whole clip.
    (scikit-learn's regression takes seconds to import.)

    Args:
        on: (samples, players) of 0 and 1.
        worth: (samples,) logits.

    Returns:
        Coefficients (players,) in logits, and R2 of the fit.
    """
    cosine = np.sqrt(on.mean(axis=1))  # between `on` and all ones
    near = np.exp(-(((1 - cosine) / KERNEL_WIDTH) ** 2) / 2)
    x, y = on - np.average(on, axis=0, weights=near), worth - np.average(worth, weights=near)
    shrink = SHRINK * np.eye(on.shape[1])
    weights = np.linalg.solve(x.T @ (near[:, None] * x) + shrink, x.T @ (near * y))
    return weights, float(1 - near @ (y - x @ weights) ** 2 / (near @ y**2))
