"""The arrows between the packages, by rule: what a package may import stands in `ARROWS`.

Entry points (`__main__.py`) put commands together from anywhere, but only when a command needs it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MEASURING = {"corpora", "evaluation"}
ARROWS = {  # a package or a room of one -> the packages that it may import beside itself
    "detectors": set(),
    "corpora": {"detectors"},
    "evaluation": {"detectors", "corpora"},
    "explain": {"detectors"},
    "explain/measure": {"detectors"} | MEASURING,
    "training": {"detectors"} | MEASURING,
    "page": {"detectors", "explain"},
}
PACKAGES = {arrow for arrow in ARROWS if "/" not in arrow}
ROOMS = {  # inside explain: a room -> the rooms that it may import beside itself
    "coalitions": set(),
    "methods": {"coalitions"},
    "measure": {"coalitions", "methods"},
}


def files(room: str) -> list[Path]:
    return sorted(
        file
        for file in (ROOT / room).rglob("*.py")
        if (room in PACKAGES and room_of(file) in PACKAGES) or room_of(file) == room
    )


def room_of(file: Path) -> str:
    """The innermost room of `ARROWS` that a file lies in."""
    name = file.relative_to(ROOT).as_posix()
    return max((arrow for arrow in ARROWS if name.startswith(f"{arrow}/")), key=len)


def imports(file: Path, nodes: list[ast.stmt] | None = None) -> set[str]:
    """Absolute dotted names of what a file imports, relative imports made absolute."""
    package = file.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(file.read_text())) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_a_package_imports_only_what_it_may(room):
    assert files(room)
    for file in files(room):
        body = ast.parse(file.read_text()).body
        at_once = file.name == "__main__.py"
        wanted = imports(file, body if at_once else None)
        found = {name.partition(".")[0] for name in wanted} & PACKAGES
        assert found <= ARROWS[room] | {room.partition("/")[0]}, file


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_of_explain_point_downwards(room):
    for file in (ROOT / "explain" / room).rglob("*.py"):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "explain" and len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] in ROOMS[room] | {room}, f"{file} imports {name}"


def test_only_commands_reach_for_measuring():
    for file in files("explain"):
        body = ast.parse(file.read_text()).body
        assert not any(".measure" in name for name in imports(file, body)), file


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
