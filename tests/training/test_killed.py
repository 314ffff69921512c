"""Training that is killed: no process stays, its run goes on, and ends as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file
from stores import use_store
from tiny_corpus import tiny_corpus

from detectors import Config
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
TRAIN = ["train", "../small.yaml", "--manifest", "../corpus/manifest.csv", "--out", "run"]
CALIBRATE = ["calibrate", "run/detector", "--manifest", "../corpus/manifest.csv"]
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


def start(place: Path, out: str, command: Sequence[str] = TRAIN) -> subprocess.Popen[bytes]:
    (place / out).mkdir(exist_ok=True)
    with (place / out / "said").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "training", "--threads", "1", *command],
            cwd=place / out,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def finish(place: Path, out: str, command: Sequence[str] = TRAIN) -> None:
    assert start(place, out, command).wait() == 0, (place / out / "said").read_text()


def says(place: Path, out: str, word: str) -> bool:
    """Whether what runs in `out` has come so far that it says a word."""
    return word in (place / out / "said").read_text()


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


def wait_until(done: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    for _ in range(PATIENCE_S * 20):
        if done():
            return
        assert process is None or process.poll() is None, "it has ended"
        time.sleep(0.05)
    raise AssertionError("it took too long")


def kill(place: Path, out: str, when: Callable[[], bool], command: Sequence[str] = TRAIN) -> None:
    """Run until something is the case, then SIGKILL; returns when no process is left."""
    running = start(place, out, command)
    wait_until(when, running)
    running.kill()
    running.wait()
    wait_until(lambda: not processes(place))


def test_training_that_is_killed_while_it_makes_features_leaves_no_process(place):
    (place / "small.yaml").write_text(RECIPE + CACHED)
    kill(place, "killed", lambda: any((place / "killed").glob("runs/features/*/*.npy")))


@pytest.mark.parametrize("phase", ["epoch", "calibration"])
def test_training_that_is_killed_goes_on_as_if_it_had_not_been(place, phase):
    finish(place, "unbroken")
    run = place / "killed/run"
    calibrating = partial(says, place, "killed", "calibrating")
    kill(place, "killed", (run / "checkpoint.pt").exists if phase == "epoch" else calibrating)
    assert {path.name for path in run.iterdir()} <= {
        "checkpoint.pt", "checkpoint.best.pt", "recipe.json", "run_id"
    }  # fmt: skip
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
    first, second = (Config.read(path.with_name("config.json")) for path in both)
    assert first == second


def test_a_calibration_that_is_killed_leaves_the_detector_as_it_was(place):
    finish(place, "here")
    run = place / "here/run"
    before = contents(run)
    kill(place, "here", partial(says, place, "here", "degrading"), CALIBRATE)
    assert contents(run) == before
    finish(place, "here", CALIBRATE)
    assert {*contents(run)} == {*before} and not processes(place)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def statuses() -> list[str]:
    """Of the runs, in the order in which they were begun."""
    home = mlflow_client().get_experiment_by_name("small").experiment_id
    runs = mlflow_client().search_runs([home], order_by=["attributes.start_time"])
    return [run.info.status for run in runs]
