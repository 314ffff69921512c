"""Shapley values of time windows over several grids: one grid's seams are another's middles.

An edit seldom begins where a window does, and a window's value says nothing of where in it the
evidence lies. So the game of `shapley_time` is played with few, wide windows several times, each
exactly, and the results are averaged, in place as well; what four to seven windows cost together is
less than what eight cost at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from scipy.ndimage import uniform_filter1d

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.time_game import TimeOptions
from ..explanation import ExplainError, Explanation, over_time, rebin
from . import shapley_time

GRIDS = (4, 5, 6, 7)
EXACT = range(2, 11)


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    grids: Sequence[int] = GRIDS,
    cells: int = 64,
    smooth: int = 9,
    progress: Progress | None = None,
    **options: Unpack[TimeOptions],
) -> Explanation:
    """Mean of the exact Shapley values of several window games, in equal cells (cells,).

    A window's value is spread evenly over it, and the mean of the games over the cells around each,
    since a seam's place says nothing. The cells add up to v(all) - v(none) as every game does;
    residual is the distance from that.

    Args:
        grids: How many windows each game has, 2 to 10.
        cells: Of the result.
        smooth: Cells that are averaged over, an odd number; default: an eighth of the segment.
        options: See `time_game`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    wrong = [n for n in grids if n not in EXACT]
    if wrong or not grids:
        raise ExplainError(f"grids are numbers of windows from 2 to 10, not {list(grids)}.")
    if smooth < 1 or smooth % 2 == 0 or cells < 1:
        raise ExplainError(
            f"cells is a number from 1 and smooth an odd one of them, not {cells} and {smooth}."
        )
    games: list[Explanation] = []
    for n in grids:
        part = _part(progress, len(games), len(grids))
        games.append(shapley_time.attribute(detector, wave, players=n, progress=part, **options))
        _, seams = over_time(games[-1])
        options["start_s"] = float(seams[0])  # a long clip is searched once
    edges = np.linspace(seams[0], seams[-1], cells + 1)
    stairs = np.mean([rebin(*over_time(game), edges) for game in games], axis=0)
    values = uniform_filter1d(stairs, smooth, mode="reflect")  # what lies at an end stays inside
    full, empty = games[0].full, games[0].empty
    return Explanation(
        values=values,
        times=edges,
        full=full,
        empty=empty,
        residual=abs(float(values.sum()) - (full - empty)),
        forwards=sum(one.forwards for one in games),
        notes=games[0].notes,
    )


def _part(progress: Progress | None, place: int, count: int) -> Progress | None:
    """Progress of one game as a share of all of them."""
    return progress and (lambda share: progress((place + share) / count))
