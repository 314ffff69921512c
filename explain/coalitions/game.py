"""Cooperative games over the parts of a clip, and what is known of them once they are played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..explanation import Explanation

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Solution:
    """What a game gives each player.

    Attributes:
        values: (players,).
        full, empty: Worth of everybody and of nobody.
        stderr: (players,); None where nothing was drawn.
        efficient: The values promise to add up to full - empty (Shapley's efficiency axiom).
    """

    values: np.ndarray
    full: float
    empty: float
    stderr: np.ndarray | None = None
    efficient: bool = True

    @property
    def residual(self) -> float:
        """Distance from the efficiency axiom; NaN where it is not promised."""
        gap = abs(float(self.values.sum()) - (self.full - self.empty))
        return gap if self.efficient else math.nan


@dataclass(eq=False)
class Game:
    """A cooperative game over parts of a clip.

    Attributes:
        players: How many parts there are.
        value: Maps coalitions (k, players) bool to their worth (k,), best `batch` at a time.
        passes: Passes through the network that made the game ready.
        each: Passes for one more coalition.
        times: (t + 1,) edges of the players in seconds of the clip, where they are over time.
        freqs: (f + 1,) edges of the players in Hz, where they are over frequency.
        names: Of the players, where they are not over time.
        notes: What part of the clip is played.
    """

    players: int
    value: Callable[[Tensor], Tensor]
    batch: int
    passes: int = 0
    each: int = 0
    times: np.ndarray | None = None
    freqs: np.ndarray | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    known: dict[bytes, float] = field(default_factory=dict, repr=False)

    @property
    def forwards(self) -> int:
        """Passes so far."""
        return self.passes + self.each * len(self.known)

    def play(self, coalitions: Tensor, progress: Progress | None = None) -> np.ndarray:
        """Worth of each coalition, (k, players) bool -> (k,) float64; none is played twice.

        progress is told the share that is done, 0..1; what it raises ends the game.
        """
        keys = [row.tobytes() for row in coalitions.numpy()]
        fresh = {key: n for n, key in enumerate(keys) if key not in self.known}
        rows = coalitions[list(fresh.values())]
        with torch.inference_mode():
            for begin in range(0, len(rows), self.batch):
                worth = self.value(rows[begin : begin + self.batch]).double().tolist()
                self.known.update(zip(list(fresh)[begin : begin + self.batch], worth, strict=True))
                if progress:
                    progress(min((begin + self.batch) / len(rows), 1.0))
        return np.array([self.known[key] for key in keys])

    def explanation(self, solution: Solution, *notes: str) -> Explanation:
        """A solution at the places of the players; a player is window * bands + band."""

        def placed(values: np.ndarray) -> np.ndarray:
            if self.times is None or self.freqs is None:
                return values
            return values.reshape(len(self.times) - 1, -1).T

        return Explanation(
            values=placed(solution.values),
            stderr=None if solution.stderr is None else placed(solution.stderr),
            times=self.times,
            freqs=self.freqs,
            names=self.names,
            full=solution.full,
            empty=solution.empty,
            residual=solution.residual,
            forwards=self.forwards,
            notes=(*self.notes, *notes),
        )


def all_coalitions(players: int) -> Tensor:
    """(2^players, players) bool; player i is in coalition s when bit i of s is set."""
    return (torch.arange(2**players)[:, None] >> torch.arange(players)) % 2 == 1
