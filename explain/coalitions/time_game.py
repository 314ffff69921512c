"""The game that all methods by time play.

Players are windows of the clip. The worth of a coalition is the detector's logit when only its
windows are present and a baseline, or nothing (`pooling`), stands in the place of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.config import pool
from detectors.detector import Detector, window_speech

from ..explanation import ExplainError
from . import masking
from .game import Game, Progress, all_coalitions
from .masking import Windows
from .segment import most_suspicious_segment
from .splicing import splice

BACKGROUNDS = {"bank": 4}  # how many baselines a worth is averaged over; one where not named
CROWD = 8  # players that one window of the detector may hold, when the whole clip is played


class TimeOptions(TypedDict, total=False):
    """Keywords that all methods over windows of time share; see `time_game`."""

    baseline: str
    seed: int
    start_s: float | None
    whole: bool
    bank: Sequence[Waveform]
    backgrounds: int


def time_game(
    detector: Detector,
    wave: Waveform,
    players: int,
    plays: int,
    *,
    baseline: str = "noise",
    seed: int = 0,
    start_s: float | None = None,
    whole: bool = False,
    bank: Sequence[Waveform] = (),
    backgrounds: int | None = None,
    progress: Progress | None = None,
) -> Game:
    """The game of `players` equal windows over the analysed segment, or over the whole clip.

    Args:
        plays: How many coalitions are going to be played; it decides what is worth preparing.
        baseline, seed, bank: See `masking.baseline`. A network that passes over what is absent
            hears none of them.
        backgrounds: Draws of the baseline that worths are means over; default: 4 of a bank, else 1.
        start_s: See `most_suspicious_segment`.
        whole: All of the clip's windows are scored and pooled as the detector does.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    count = BACKGROUNDS.get(baseline, 1) if backgrounds is None else backgrounds
    if count < 1:
        raise ExplainError(f"backgrounds is a number from 1, not {count}.")

    def behind(x: Tensor) -> list[Tensor]:
        return [masking.baseline(x, baseline, seed + n, bank) for n in range(count)]

    if whole and len(wave.samples) > detector.config.window:
        return _whole(detector, wave, players, behind, progress)
    segment = most_suspicious_segment(detector, wave, start_s)
    cut = masking.windows(len(segment.samples), players)
    games = [splice(detector, segment, cut, b, plays) for b in behind(segment.samples)]
    return Game(
        players,
        lambda on: torch.stack([game(on) for game in games]).mean(dim=0),
        games[0].batch,
        passes=sum(game.passes for game in games),
        each=sum(game.each for game in games),
        times=segment.seconds(cut.edges),
        notes=segment.notes,
    )


def _whole(
    detector: Detector,
    wave: Waveform,
    players: int,
    behind: Callable[[Tensor], list[Tensor]],
    progress: Progress | None,
) -> Game:
    """A detector's window holds few of the players: a table of their 2^few worths says it all."""
    n, window = len(wave.samples), detector.config.window
    starts = detector.starts(wave)

    def crowded(count: int) -> bool:
        whole = masking.windows(n, count)
        return any(_part(whole, start, window)[1].count > CROWD for start in starts)

    if crowded(players):
        most = next(count for count in range(players - 1, 0, -1) if not crowded(count))
        raise ExplainError(
            f"Over the whole of this clip at most {most} windows are played, not {players}: "
            f"{n / RATE / most:.1f} s or more each."
        )
    cut = masking.windows(n, players)
    tables: list[tuple[slice, np.ndarray]] = []
    passes = 0
    for start in starts:
        segment = most_suspicious_segment(detector, wave, start / RATE)
        inside, own = _part(cut, start, window)
        every = all_coalitions(own.count)
        worth = np.zeros(len(every))
        backgrounds = behind(segment.samples)
        for background in backgrounds:
            splicer = splice(detector, segment, own, background)
            game = Game(own.count, splicer, splicer.batch, splicer.passes, splicer.each)
            worth += game.play(every) / len(backgrounds)
            passes += game.forwards
        tables.append((inside, worth))
        if progress:
            progress(len(tables) / len(starts))
    rule, votes = detector.config.pooling, window_speech(wave, starts, window)

    def value(on: Tensor) -> Tensor:
        bits = on.numpy() << np.arange(players)
        rows = [worth[bits[:, s].sum(axis=1) >> s.start] for s, worth in tables]
        return torch.tensor([pool(rule, column, votes) for column in np.stack(rows, axis=1)])

    note = f"Explained is the whole clip, {len(starts)} windows pooled by '{rule}'."
    return Game(players, value, 2**16, passes, times=cut.edges / RATE, notes=(note,))


def _part(cut: Windows, start: int, window: int) -> tuple[slice, Windows]:
    """The players that the samples from `start` belong to, and their cut of just these samples."""
    here = slice(start, start + window)
    left, right, fade = cut.left[here], cut.right[here], cut.fade[here]
    first, last = int(left.min()), int(right.max())
    return slice(first, last + 1), Windows(
        cut.edges[first : last + 2], left - first, right - first, fade
    )
