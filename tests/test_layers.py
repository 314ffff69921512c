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
# `python -m detectors import --manifest` calibrates, which only training can
EXCEPT = {"detectors/__main__.py": {"training"}}
# Explanations are measured on training's manifests, fakers and metrics. Only commands reach these.
MEASURING = {
    "explain/audit_corpus.py",
    "explain/clips.py",
    "explain/corpus.py",
    "explain/corpus_figure.py",
    "explain/evaluate.py",
    "explain/report.py",
    "explain/swaps.py",
    "explain/tables.py",
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
        name = file.relative_to(ROOT).as_posix()
        more = {"training"} if name in MEASURING else EXCEPT.get(name, set())
        assert imported(file) <= ALLOWED[package] | {package} | more, file


def test_exceptions_are_imported_only_when_they_are_needed():
    for name, packages in EXCEPT.items():
        body = ast.parse((ROOT / name).read_text()).body
        top = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not {ast.unparse(node).split()[1].split(".")[0] for node in top} & packages


def test_explaining_a_clip_needs_nothing_of_training():
    measuring = {Path(name).stem for name in MEASURING}
    for file in (ROOT / "explain").glob("*.py"):
        if file.relative_to(ROOT).as_posix() not in MEASURING:
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ImportFrom) and node.level == 1:
                    names = {node.module} if node.module else {alias.name for alias in node.names}
                    assert not names & measuring, file


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
