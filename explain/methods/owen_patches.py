"""Owen values of time-frequency patches (Owen 1977): which band decided, and when.

A game on two levels: windows of time are the unions, the bands of a window its members. Only
orders of arrival in which a window's bands come one right after the other count, so the patches of
a window share exactly what the window is worth among windows.
"""

from __future__ import annotations

import numpy as np
import torch

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game, Progress, Solution
from ..coalitions.spectrogram import patches, patches_budget, spectrum
from ..explanation import ExplainError, Explanation


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    windows: int = 8,
    bands: int = 4,
    pairs: int | None = None,
    baseline: str = "noise",
    seed: int = 0,
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Owen values (bands, windows) of equal patches of the analysed segment.

    stderr is over pairs; every order adds up to v(all) - v(none), so residual is zero but for
    rounding.

    Args:
        pairs: Orders of arrival that are drawn, 2 or more, each played forwards and backwards; a
            pair costs 2 * (windows * bands - 1) forward passes. By default about what
            `spectrogram.patches_budget` pays for.
        baseline, start_s: See `spectrogram.spectrum`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    if pairs is not None and pairs < 2:
        raise ExplainError(f"pairs is a number from 2, not {pairs}.")
    game = patches(spectrum(detector, wave, baseline, start_s), windows, bands)
    if pairs is None:
        pairs = max(2, round(patches_budget(detector) / (2 * (game.players - 1))))
    gains, full, empty = owen(game, windows, pairs, seed, progress)
    stderr = gains.std(axis=0, ddof=1) / np.sqrt(pairs)
    return game.explanation(Solution(gains.mean(axis=0), full, empty, stderr))


def owen(
    game: Game, unions: int, pairs: int, seed: int = 0, progress: Progress | None = None
) -> tuple[np.ndarray, float, float]:
    """Gains by each player, (pairs, players), each the mean of an order and its reverse; v(all)
    and v(none).

    The players of a union are numbered one after the other; all unions are of one size.
    """
    n = game.players
    rng = np.random.default_rng(seed)
    grid = np.arange(n).reshape(unions, -1)
    orders = []
    for _ in range(pairs):
        order = np.concatenate([rng.permutation(union) for union in rng.permutation(grid)])
        orders += [order, order[::-1]]
    place = np.argsort(orders, axis=1)  # (2 pairs, n): when each player arrives
    present = place[:, None, :] < np.arange(1, n)[:, None]  # (2 pairs, n - 1, n)
    ends = np.array([[False] * n, [True] * n])
    members = torch.from_numpy(np.concatenate([ends, present.reshape(-1, n)]))
    empty, full, *inner = game.play(members, progress)
    path = np.full((2 * pairs, n + 1), empty)
    path[:, 1:-1] = np.reshape(inner, (2 * pairs, n - 1))
    path[:, -1] = full
    gains = np.take_along_axis(np.diff(path, axis=1), place, axis=1)
    return gains.reshape(pairs, 2, n).mean(axis=1), float(full), float(empty)
