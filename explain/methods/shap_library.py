"""shap's own explainers over the same players, as an independent check, and its summary figures.

Needs the extra `explain`; shap compiles itself at its first use, which takes some seconds.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from types import ModuleType
from typing import Any, Unpack

import numpy as np
import torch

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game, Progress, Solution
from ..coalitions.spectrogram import patches, patches_budget, spectrum
from ..coalitions.time_game import TimeOptions, time_game
from ..explanation import ExplainError, Explanation
from .seeds import seeded
from .shapley_time import check_players

KINDS = ("beeswarm", "bar")
ABSENT = "shap is not installed (uv pip install -e '.[explain]' does it)"


def refusal(detector: Detector) -> str | None:
    """Why shap explains no detector at all: because it is not installed, or None."""
    return None if find_spec("shap") else ABSENT


def over_windows(
    detector: Detector,
    wave: Waveform,
    *,
    players: int = 8,
    permutations: int = 10,
    progress: Progress | None = None,
    **options: Unpack[TimeOptions],
) -> Explanation:
    """Shapley values (players,) of equal windows by shap's PermutationExplainer.

    Every order of arrival adds up to v(all) - v(none), so residual is zero but for rounding. There
    is no stderr: shap's own takes an order and its reverse for independent, and is several times
    too large.

    Args:
        players: Windows, 2 to 64.
        permutations: Orders of arrival, 2 or more, each played forwards and backwards.
        options: See `time_game`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    shap = _shap()
    check_players(players)
    if permutations < 2:
        raise ExplainError(f"permutations is a number from 2, not {permutations}.")
    evaluations = permutations * (2 * players + 1)
    game = time_game(detector, wave, players, evaluations, progress=progress, **options)
    nobody, everybody = np.zeros((1, players)), np.ones((1, players))
    seed = options.get("seed", 0)
    with seeded(seed):
        found = shap.PermutationExplainer(_worth(game, evaluations, progress), nobody, seed=seed)(
            everybody, max_evals=evaluations, silent=True
        )
    return game.explanation(_checked(found, game))


def over_patches(
    detector: Detector,
    wave: Waveform,
    *,
    windows: int = 8,
    bands: int = 4,
    evaluations: int | None = None,
    baseline: str = "noise",
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Values (bands, windows) of time-frequency patches by shap's PartitionExplainer.

    Owen values over a tree in which the bands of a window are joined first, then neighbouring
    windows; branches with the largest part of the logit are opened first, and what stays closed
    is shared equally. residual is zero but for rounding.

    Args:
        evaluations: Coalitions that are played; default: `spectrogram.patches_budget`.
        baseline, start_s: See `spectrogram.spectrum`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    shap = _shap()
    evaluations = patches_budget(detector) if evaluations is None else evaluations
    game = patches(spectrum(detector, wave, baseline, start_s), windows, bands)
    masker = shap.maskers.Partition(np.zeros((1, game.players)), clustering=_tree(windows, bands))
    found = shap.PartitionExplainer(_worth(game, evaluations, progress), masker)(
        np.ones((1, game.players)), max_evals=evaluations, silent=True
    )
    return game.explanation(_checked(found, game))


def summary_figure(
    explanations: Sequence[Explanation], kind: str = "beeswarm", limit: int = 12
) -> bytes:
    """What matters over many clips, as a PNG file: a row for each player, the strongest first.

    explanations: of one method with the same number of players, one for each clip. kind:
    "beeswarm" (a dot for each clip, warm where its logit is high) or "bar" (mean strength). limit:
    rows at most. Raises ExplainError.
    """
    shap = _shap()
    from matplotlib import pyplot

    if kind not in KINDS:
        raise ExplainError(f"There is no summary '{kind}'; there are {', '.join(KINDS)}.")
    if len(explanations) < 2 or len({(e.method, e.values.shape) for e in explanations}) > 1:
        raise ExplainError("A summary takes two explanations or more of the same players.")
    values = np.stack([e.values.T.ravel() for e in explanations])  # window after window
    logits = np.array([e.full for e in explanations])
    table = shap.Explanation(
        values=values,
        data=np.broadcast_to(logits[:, None], values.shape),
        feature_names=_labels(explanations[0]),
    )
    figure = pyplot.figure()
    try:
        if kind == "beeswarm":
            shap.plots.beeswarm(
                table, max_display=limit, show=False, color_bar_label="logit of the clip",
                group_remaining_features=False,
            )  # fmt: skip
        else:
            shap.plots.bar(table.abs.mean(0), max_display=limit, show=False)
        pyplot.xlabel("evidence in logits, towards fake" if kind == "beeswarm" else "mean strength")
        file = io.BytesIO()
        pyplot.gcf().savefig(file, format="png", dpi=100, bbox_inches="tight")
    finally:
        pyplot.close(figure)
    return file.getvalue()


def _shap() -> ModuleType:
    if find_spec("shap") is None:
        raise ExplainError(f"There is no check by shap: {ABSENT}.")
    return import_module("shap")  # takes seconds, so only those who ask for it pay


def _worth(game: Game, evaluations: int, progress: Progress | None) -> Any:
    """The game as shap asks for it: (k, players) of zeros and ones -> (k,)."""
    played = 0

    def worth(on: np.ndarray) -> np.ndarray:
        nonlocal played
        played += len(on)
        if progress:
            progress(min(played / evaluations, 1.0))
        return game.play(torch.from_numpy(np.asarray(on) > 0))

    return worth


def _checked(found: Any, game: Game) -> Solution:
    """shap's values (players,), with v(all) and v(none) as the game itself has them."""
    ends = torch.tensor([[False], [True]]).expand(2, game.players)
    empty, full = game.play(ends)
    return Solution(found.values[0], float(full), float(empty))


def _tree(windows: int, bands: int) -> np.ndarray:
    """Linkage matrix over players window * bands + band, as SciPy has it."""
    from scipy.cluster.hierarchy import linkage

    window, band = np.divmod(np.arange(windows * bands), bands)
    return linkage((window * bands**2 + band)[:, None].astype(float), "single")


def _labels(explanation: Explanation) -> list[str]:
    """A name for each player, in the order of `values.T.ravel()`."""
    if explanation.times is None:
        return list(explanation.names)
    since = explanation.times - explanation.times[0]  # clips are explained at different places
    spans = [f"{a:.1f} to {b:.1f} s" for a, b in pairwise(since)]
    if explanation.freqs is None:
        return spans
    bands = [f"{a:.0f} to {b:.0f} Hz" for a, b in pairwise(explanation.freqs)]
    return [f"{span}, {band}" for span in spans for band in bands]
