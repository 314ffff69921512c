"""Occlusion (Zeiler and Fergus 2014, section 4.2): how far the logit falls without each window."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch

from detectors.audio import RATE, Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress, Solution
from ..coalitions.time_game import TimeOptions, time_game
from ..explanation import ExplainError, Explanation


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    window_s: float = 0.25,
    progress: Progress | None = None,
    **options: Unpack[TimeOptions],
) -> Explanation:
    """Drop of the logit (windows,) when one window of about `window_s` seconds falls silent.

    Cheap, and exact where windows do not work together; two that say the same hide each other. No
    completeness is promised.

    Args:
        window_s: 0.02 to 2 seconds.
        options: See `time_game`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    if not 0.02 <= window_s <= 2:
        raise ExplainError(f"window_s is from 0.02 to 2 seconds, not {window_s:g}.")
    seconds = len(wave.samples) / RATE
    if not options.get("whole", False):
        seconds = min(seconds, detector.config.window / RATE)
    players = max(round(seconds / window_s), 2)
    alone = torch.eye(players, dtype=torch.bool)
    members = torch.cat([torch.zeros_like(alone[:1]), torch.ones_like(alone[:1]), ~alone])
    game = time_game(detector, wave, players, len(members), progress=progress, **options)
    empty, full, *without = game.play(members, progress)
    drops = full - np.array(without)
    return game.explanation(Solution(drops, float(full), float(empty), efficient=False))
