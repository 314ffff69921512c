"""The arrows between the packages: app -> page -> detectors, explain; nothing points back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"detectors", "explain", "page", "training"}
ALLOWED = {
    "detectors": set(),
    "explain": {"detectors"},
    "training": {"detectors"},
    "page": {"detectors", "explain"},
}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names & PACKAGES


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_what_it_may(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert imported(file) <= ALLOWED[package] | {package}, file


def test_nobody_unpickles():
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    safe = [k for k in node.keywords if k.arg == "weights_only"]
                    assert safe and ast.unparse(safe[0].value) == "True", file
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func)
                    assert name not in ("pickle.load", "pickle.loads", "joblib.load"), file
