"""Exact Shapley values of time windows (Shapley 1953): which seconds moved the logit, and how far.

The game: players are windows of the clip, v(S) is the detector's logit when only the windows in S
are heard and the rest is background. All 2^n coalitions are played, so nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import torch
from torch import Tensor

from detectors.audio import Waveform
from detectors.detector import Detector

from .explanation import ExplainError, Explanation
from .players import baseline as fill_in
from .players import windows
from .spliced import Splicer
from .stretch import decisive

PLAYERS = range(2, 13)  # 13 windows would be 8,192 coalitions


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    players: int = 8,
    baseline: str = "noise",
    seed: int = 0,
    start_s: float | None = None,
) -> Explanation:
    """Exact Shapley values (players,) of equal windows across the clip's decisive stretch.

    players: 2 to 12, at the cost of 2^players forwards. baseline: "noise" or "zeros", what stands
    in a silent window's place. start_s: see `stretch.decisive`. residual is the distance from
    the efficiency axiom, sum = v(all) - v(none). Raises ExplainError.
    """
    if players not in PLAYERS:
        raise ExplainError(
            f"players is a number from {PLAYERS[0]} to {PLAYERS[-1]}, not {players}."
        )
    stretch = decisive(detector, wave, start_s)
    x = stretch.samples
    cut = windows(len(x), players)
    behind = fill_in(x, baseline, seed)

    game = Splicer(detector, stretch, cut, behind)
    outcomes = play(game, players, game.batch)
    values = shapley(outcomes)
    full, empty = float(outcomes[-1]), float(outcomes[0])
    return Explanation(
        method="shapley-time",
        detector=detector.config.name,
        values=values,
        times=stretch.seconds(cut.edges),
        freqs=None,
        full=full,
        empty=empty,
        residual=abs(float(values.sum()) - (full - empty)),
        forwards=game.passes,
        notes=stretch.notes,
    )


def coalitions(players: int) -> Tensor:
    """All coalitions, (2^players, players) bool; player i is in coalition s when bit i of s is."""
    return (torch.arange(2**players)[:, None] >> torch.arange(players)) % 2 == 1


def play(game: Callable[[Tensor], Tensor], players: int, batch: int) -> np.ndarray:
    """v of every coalition, (2^players,) float64; `game` maps (k, players) bool to (k,)."""
    with torch.inference_mode():
        parts = [game(part).double() for part in coalitions(players).split(batch)]
    return torch.cat(parts).numpy()


def shapley(outcomes: np.ndarray) -> np.ndarray:
    """Shapley values (n,) of the game whose coalition s (bits = members) is worth outcomes[s].

    phi_i = sum over S without i of (v(S + i) - v(S)) / (n * C(n - 1, |S|)): the mean gain by i
    over all sizes of coalition, and over all coalitions of one size.
    """
    n = len(outcomes).bit_length() - 1
    if len(outcomes) != 2**n or n == 0:
        raise ValueError(f"A game has 2^n outcomes, not {len(outcomes)}.")
    index = np.arange(2**n)
    size = np.bitwise_count(index)
    values = np.empty(n)
    for i in range(n):
        without = index[(index >> i) % 2 == 0]
        weight = np.array([1 / (n * comb(n - 1, int(k))) for k in size[without]])
        values[i] = weight @ (outcomes[without | 1 << i] - outcomes[without])
    return values
