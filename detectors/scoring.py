"""One recording scored by several detectors: a network that a fusion holds as well runs once.

session = ScoringSession(read("clip.m4a"))
print([session.score(detector).llr for detector in detectors])
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from .audio import Waveform
from .config import Config
from .detector import Detector, Score
from .models.fusion import Fusion
from .models.network import Network

SOUND = ("architecture", "options", "frontend", "frontend_options", "window", "level_normalise")


class ScoringSession:
    """Scores of one clip; the logit of every window that a network scored is kept."""

    def __init__(self, wave: Waveform) -> None:
        self.wave = wave
        self._logits_of: list[tuple[Detector, dict[int, float]]] = []  # logits by a window's start

    def score(self, detector: Detector) -> Score:
        """What `detector.score` says, from what has been scored already as far as that goes."""
        return detector.score(self.wave, self._logits(detector, detector.starts(self.wave)))

    def _logits(self, detector: Detector, starts: list[int]) -> np.ndarray:
        """Logits (windows,) of the windows that begin at `starts`."""
        known = self._by(detector)
        missing = [start for start in starts if start not in known]
        if missing:
            known.update(zip(missing, self._fresh(detector, missing).tolist(), strict=True))
        return np.array([known[start] for start in starts])

    def _by(self, detector: Detector) -> dict[int, float]:
        """Logits that the detector's network has given, by a window's start."""
        for other, known in self._logits_of:
            if _same(detector, other):
                return known
        self._logits_of.append((detector, {}))
        return self._logits_of[-1][1]

    def _fresh(self, detector: Detector, starts: list[int]) -> np.ndarray:
        net = detector.net
        if not isinstance(net, Fusion):
            return detector.window_logits(self.wave.samples, starts)
        parts = np.stack([self._logits(member, starts) for member in members(detector)], axis=1)
        return parts @ net.weight.double().numpy() + float(net.bias)


def members(fusion: Detector) -> list[Detector]:
    """The detectors that a fusion weighs, hearing at its level what its windows hold."""
    net = fusion.net
    assert isinstance(net, Fusion)
    apart = []
    for part, frontend, spec in zip(
        net.nets, net.frontends, fusion.config.options["members"], strict=True
    ):
        config = Config(
            **spec, window=fusion.config.window, level_normalise=fusion.config.level_normalise
        )
        member = Detector(config, cast(Network, part))
        member.frontend = frontend
        apart.append(member)
    return apart


def _same(one: Detector, other: Detector) -> bool:
    """Do both turn the same samples into the same logits?"""
    if any(getattr(one.config, key) != getattr(other.config, key) for key in SOUND):
        return False
    weights, others = one.net.state_dict(), other.net.state_dict()
    return weights.keys() == others.keys() and all(
        torch.equal(weight, others[name]) for name, weight in weights.items()
    )
