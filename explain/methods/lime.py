"""LIME (Ribeiro et al. 2016) by captum: a linear model of the detector around this clip.

Windows, or patches of the spectrogram, are switched off at random; a ridge regression that weighs
samples by their likeness to the clip predicts the logit from what was on. Its weights are the
explanation, and its R2 says how much of the logit they explain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from captum._utils.models.model import Model
from captum.attr import Lime
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch import Tensor

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game, Progress, TimeOptions, time_game
from ..coalitions.spectrogram import patches, patches_budget, spectrum
from ..explanation import ExplainError, Explanation
from .seeds import seeded
from .shapley_time import check_players

KERNEL_WIDTH = 0.25  # cosine distance, as the authors' own code has it for pictures
SHRINK = 1e-3  # just enough that the regression is never singular


class Surrogate(Model):
    """Weighted ridge regression as captum asks for it; keeps its weights and the R2 of its fit.

    In closed form: scikit-learn's takes seconds to import.
    """

    def fit(self, train_data: Any, **_: object) -> None:
        on, worth, weight = (part.double() for part in next(iter(train_data)))
        self.on, self.worth = (weight @ part / weight.sum() for part in (on, worth))
        x, y = on - self.on, worth - self.worth
        shrink = SHRINK * torch.eye(x.shape[1])
        self.weights = torch.linalg.solve(x.T @ (weight[:, None] * x) + shrink, x.T @ (weight * y))
        self.r2 = float(1 - weight @ (y - x @ self.weights).square() / (weight @ y.square()))

    def representation(self) -> Tensor:
        return self.weights

    def __call__(self, x: Tensor) -> Tensor:
        return self.worth + (x.double() - self.on) @ self.weights


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

    players: 2 to 64. samples: coalitions that the surrogate is fitted on, at least 4 for each
    player. options: see `game.time_game`. empty is the logit without any window; no completeness
    is promised. Raises ExplainError.
    """
    check_players(players)
    game = time_game(detector, wave, players, samples + 2, progress=progress, **options)
    fitted = fit(game, samples, options.get("seed", 0), progress)
    return Explanation(
        method="lime-time",
        detector=detector.config.name,
        values=fitted.weights,
        times=game.times,
        freqs=None,
        full=fitted.full,
        empty=fitted.empty,
        residual=math.nan,
        forwards=game.forwards,
        notes=(*game.notes, fitted.note),
    )


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

    samples: by default see `spectrogram.patches_budget`. baseline and start_s: see
    `spectrogram.spectrum`. Raises ExplainError.
    """
    samples = patches_budget(detector) if samples is None else samples
    game = patches(spectrum(detector, wave, baseline, start_s), windows, bands)
    fitted = fit(game, samples, seed, progress)
    return Explanation(
        method="lime-patches",
        detector=detector.config.name,
        values=game.map(fitted.weights),
        times=game.times,
        freqs=game.freqs,
        full=fitted.full,
        empty=fitted.empty,
        residual=math.nan,
        forwards=game.forwards,
        notes=(*game.notes, fitted.note),
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """weights (players,) of the surrogate, in logits; r2 of its fit; v(all) and v(none)."""

    weights: np.ndarray
    r2: float
    full: float
    empty: float

    @property
    def note(self) -> str:
        return f"The surrogate explains {100 * self.r2:.0f} % of the logit's variance (R2)."


def fit(game: Game, samples: int, seed: int, progress: Progress | None = None) -> Fit:
    """Surrogate of a game from `samples` coalitions in which each player is on by even chance."""
    if samples < 4 * game.players:
        raise ExplainError(
            f"{game.players} players need {4 * game.players} samples or more, not {samples}."
        )
    everybody = torch.ones(1, game.players)
    empty, full = game.play(torch.cat([everybody < 1, everybody > 0]))
    drawn = np.random.default_rng(seed).integers(2, size=(samples, game.players))

    def draw(original: Tensor, **_: Any) -> Iterator[Tensor]:
        yield from torch.from_numpy(drawn).float()[:, None]

    surrogate, played = Surrogate(), 0

    def worth(on: Tensor) -> Tensor:
        nonlocal played
        played += len(on)
        if progress:
            progress(played / samples)
        return torch.from_numpy(game.play(on > 0))

    lime = Lime(worth, surrogate, get_exp_kernel_similarity_function("cosine", KERNEL_WIDTH), draw)
    with seeded(seed):  # captum's data loader draws a number of its own
        weights = lime.attribute(everybody, n_samples=samples, perturbations_per_eval=game.batch)
    return Fit(weights[0].double().numpy(), surrogate.r2, float(full), float(empty))
