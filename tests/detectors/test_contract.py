"""A network says itself what it can do: nobody asks for its class, or for what it may not have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import WINDOW, hiss, toy, waveform

from detectors.models.network import Network
from explain import explain, methods

ROOT = Path(__file__).parents[2]
OWN = ("detectors/models", "detectors/frontends", "detectors/catalog.py")
PACKAGES = ("corpora", "detectors", "evaluation", "explain", "page", "training")
FILES = [
    file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if not file.relative_to(ROOT).as_posix().startswith(OWN)
]
NAMES = {"net", "nets", "network", "networks", "frontend", "frontends", "teacher", "trunk"}


def parts(node: ast.expr) -> set[str]:
    """The names and attributes that an expression is made of."""
    inside = list(ast.walk(node))
    found = {n.id for n in inside if isinstance(n, ast.Name)}
    return found | {n.attr for n in inside if isinstance(n, ast.Attribute)}


def classes_of_networks(tree: ast.Module) -> set[str]:
    """Names that a file imports from the rooms of networks and front-ends."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and {"models", "frontends"} & {*(node.module or "").split(".")}
        for alias in node.names
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_asks_for_the_class_of_a_network(file):
    tree = ast.parse(file.read_text())
    classes = classes_of_networks(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("isinstance", "getattr", "hasattr"):
                assert not parts(node.args[0]) & NAMES, f"{file}:{node.lineno}"
            if node.func.id == "isinstance":
                assert not parts(node.args[1]) & classes, f"{file}:{node.lineno}"


class Plain(Network):
    """Declares nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 400, stride=160)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, None]).square().mean(dim=(1, 2))


def test_a_network_that_declares_nothing_is_scored_and_explained():
    torch.manual_seed(0)
    detector, wave = toy(Plain()), waveform(hiss(2 * WINDOW))
    assert len(detector.score(wave).windows) == 3
    assert "gradcam" not in methods(detector) and "shapley-time" in methods(detector)
    explanation = explain(detector, wave, "shapley-time", players=4)
    assert explanation.residual < 1e-5


@pytest.mark.parametrize("method", ["frames", "verdict", "frame_logits", "standardise_on"])
def test_what_a_network_does_not_declare_it_names(method):
    with pytest.raises(TypeError, match=f"A Plain has no {method}"):
        getattr(Plain(), method)(torch.zeros(1, 1))
