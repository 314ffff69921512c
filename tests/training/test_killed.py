"""Training that is killed: no process stays, its run goes on, and ends as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from stores import use_store
from tiny_corpus import tiny_corpus

from detectors.mlflow_store import mlflow_client

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
RECIPE = """
name: small
architecture: cnn
options: {channels: [4, 8], embedding: 8}
window: 16000
epochs: 2
pairs: 60
batch: 4
crop_s: [0.8, 1.0]
save_every: 5
"""
CACHED = "cache_variants: 8\naugment: {noise: 0.5}\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a corpus, a recipe and a store."""
    use_store(tmp_path, monkeypatch)
    tiny_corpus(tmp_path / "corpus", speakers=6)
    (tmp_path / "small.yaml").write_text(RECIPE)
    monkeypatch.setenv("HEARSAY_TEST", str(tmp_path))  # by which its processes are known
    return tmp_path


def start(place: Path, out: str) -> subprocess.Popen[str]:
    command = ["train", "../small.yaml", "--manifest", "../corpus/manifest.csv", "--out", "run"]
    (place / out).mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "training", "--threads", "1", *command],
        cwd=place / out,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(place: Path, out: str) -> None:
    done = start(place, out)
    _, said = done.communicate()
    assert done.returncode == 0, said


def processes(place: Path) -> list[int]:
    """Those that training in `place` has started, directly or not."""
    mark = f"HEARSAY_TEST={place}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:  # of somebody else, or gone
            continue
    return found


def wait_until(done: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    for _ in range(PATIENCE_S * 20):
        if done():
            return
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it took too long")


def kill(place: Path, out: str, when: Callable[[], bool]) -> None:
    """Train until something is the case, then SIGKILL; returns when no process is left."""
    training = start(place, out)
    wait_until(when, training)
    training.kill()
    training.communicate()
    wait_until(lambda: not processes(place))


def test_training_that_is_killed_while_it_makes_features_leaves_no_process(place):
    (place / "small.yaml").write_text(RECIPE + CACHED)
    kill(place, "killed", lambda: any((place / "killed").glob("runs/features/*/*.npy")))


def test_training_that_is_killed_in_an_epoch_goes_on_as_if_it_had_not_been(place):
    finish(place, "unbroken")
    run = place / "killed/run"
    kill(place, "killed", (run / "checkpoint.pt").exists)
    assert statuses() == ["FINISHED", "RUNNING"]
    (run / ".checkpoint.pt.999999999").write_bytes(b"half")  # ids end far below
    finish(place, "killed")
    assert not processes(place)
    assert statuses() == ["FINISHED", "FINISHED"]
    assert {path.name for path in run.iterdir()} == {
        "checkpoint.pt", "checkpoint.best.pt", "detector", "recipe.json"
    }  # fmt: skip
    both = [place / out / "run/detector/weights.safetensors" for out in ("unbroken", "killed")]
    weights = [load_file(path) for path in both]
    assert {*weights[0]} == {*weights[1]}
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def statuses() -> list[str]:
    """Of the runs, in the order in which they were begun."""
    home = mlflow_client().get_experiment_by_name("small").experiment_id
    runs = mlflow_client().search_runs([home], order_by=["attributes.start_time"])
    return [run.info.status for run in runs]
