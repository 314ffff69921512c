"""Shapley values of time windows: which seconds moved the logit, and how far.

The game: players are windows of the clip, v(S) is the detector's logit when only the windows in S
are heard and the rest is background; see `time_game` and `shapley.solve`.
"""

from __future__ import annotations

from typing import Unpack

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.shapley import solve
from ..coalitions.time_game import TimeOptions, time_game
from ..explanation import ExplainError, Explanation

PLAYERS = range(2, 65)


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    players: int = 8,
    budget: int = 1024,
    progress: Progress | None = None,
    **options: Unpack[TimeOptions],
) -> Explanation:
    """Shapley values (players,) of equal windows across the clip's analysed segment.

    Exact where all 2^players coalitions fit the budget; otherwise values have standard errors, and
    still add up. residual is the distance from the efficiency axiom, sum = v(all) - v(none).

    Args:
        players: Windows, 2 to 64.
        budget: Coalitions that may be played; the default makes up to 10 players exact.
        options: See `time_game`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    check_players(players)
    plays = min(2**players, budget)
    game = time_game(detector, wave, players, plays, progress=progress, **options)
    solution = solve(game, budget, options.get("seed", 0), progress)
    return game.explanation(solution)


def check_players(players: int) -> None:
    """ExplainError unless this many windows can play."""
    if players not in PLAYERS:
        raise ExplainError(
            f"players is a number from {PLAYERS[0]} to {PLAYERS[-1]}, not {players}."
        )
