"""Logistic-regression fusion: several detectors, their logits weighed into one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Network

MEMBER = ("name", "architecture", "options", "frontend", "frontend_options")


class Fusion(Network):
    """Levelled waveform to logit: (b, n) -> (b,), a weighted sum of the members' logits.

    members: for each one its name, architecture, options, frontend and frontend_options, as in a
    detector's config. Every member hears the level that the fusion was fitted on, whatever it was
    trained on. Weights and bias are those of a logistic regression (Brümmer et al. 2007, "Fusion
    of heterogeneous speaker recognition systems").
    """

    windows_at_once = 2  # one member may have large maps

    def __init__(self, members: list[dict[str, Any]]) -> None:
        super().__init__()
        from ..catalog import build, build_frontend  # the catalogue lists this class too

        if not members or any({*member} != {*MEMBER} for member in members):
            raise ValueError(f"A fusion has members, each with {', '.join(MEMBER)}.")
        self.names = [member["name"] for member in members]
        self.nets = nn.ModuleList(build(m["architecture"], m["options"]) for m in members)
        # outside the state dict: front-ends have no weights of their own
        self.frontends = [build_frontend(m["frontend"], m["frontend_options"]) for m in members]
        self.differentiable = all(frontend.differentiable for frontend in self.frontends)
        self.weight = nn.Parameter(torch.full((len(members),), 1 / len(members)))
        self.bias = nn.Parameter(torch.zeros(()))

    def member_logits(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, members), each on its own scale."""
        pairs = zip(self.frontends, self.nets, strict=True)
        return torch.stack([net(frontend(x)) for frontend, net in pairs], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.member_logits(x) @ self.weight + self.bias
