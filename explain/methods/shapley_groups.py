"""Shapley values of feature groups: how far pitch, jitter, pauses and the rest moved the logit.

The game: players are the groups of a network that embeds each by itself; v(S) is the logit when the
groups in S are those of the clip and every other group stands at its training mean. Embeddings of
present and absent groups are made once, and the head plays all 2^n coalitions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Game
from ..coalitions.segment import most_suspicious_segment
from ..coalitions.shapley import solve
from ..explanation import Explanation

HEAD_BATCH = 512


def refusal(detector: Detector) -> str | None:
    """Why there are no groups to compare, or None if the network embeds each by itself."""
    if detector.net.feature_groups:
        return None
    return "it has no feature groups to compare"


def attribute(detector: Detector, wave: Waveform, *, start_s: float | None = None) -> Explanation:
    """Exact Shapley values (groups,) of the front-end's feature groups in the analysed segment.

    `names` are the groups'; there is neither a time nor a frequency axis. The features of an absent
    group stand at their means over the training set, the network's `mean`, so the baseline is the
    same for every clip, and empty is the logit of an average voice. start_s: see
    `most_suspicious_segment`. residual is the distance from the efficiency axiom, sum = v(all) -
    v(none).
    """
    segment = most_suspicious_segment(detector, wave, start_s)
    net, names = detector.net.feature_groups, tuple(detector.frontend.groups)
    assert net is not None
    with torch.inference_mode():
        features = detector.frontend(segment.fill(segment.samples[None]))
        present = net.embed(features)  # (1, groups, embedding)
        absent = net.embed(net.mean[:, None].expand_as(features))

    def value(coalitions: Tensor) -> Tensor:
        return net.head(torch.where(coalitions[:, :, None], present, absent))

    game = Game(len(names), value, HEAD_BATCH, passes=2, names=names, notes=segment.notes)
    return game.explanation(solve(game, budget=2 ** len(names)))
