"""Logistic-regression fusion: the logits of several detectors, weighed into one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Network


class Fusion(Network):
    """A weighted sum of the members' logits: (b, members) -> (b,).

    Args:
        members: Name and digest of each detector; the detectors themselves are `Detector.members`.

    Source:
        Brümmer et al. 2007, "Fusion of heterogeneous speaker recognition systems".
    """

    windows_at_once = 2  # one member may have large maps

    def __init__(self, members: list[dict[str, Any]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((len(members),), 1 / len(members)))
        self.bias = nn.Parameter(torch.zeros(()))

    def member_weights(self) -> list[float]:
        return self.weight.tolist()

    def forward(self, logits: Tensor) -> Tensor:
        return logits @ self.weight.to(logits.dtype) + self.bias
