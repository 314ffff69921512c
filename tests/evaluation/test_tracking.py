"""Tracking: a run keeps its id, its values and its end, and outlives a store that stutters."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from stores import make_detector, use_store

from detectors.errors import HearsayError
from detectors.mlflow_store import mlflow_client
from evaluation.tracking import Run, flatten, git_state, known, run_detector

PARAMS = {"lr": 0.001, "augment": {"noise": {"p": 0.5}, "codecs": ["mp3", "opus"]}, "init": None}


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    """Folder of a fresh store."""
    return use_store(tmp_path, monkeypatch).parent


def history(run: Run, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in mlflow_client().get_metric_history(run.run_id, name)]


def status(run: Run) -> str:
    return mlflow_client().get_run(run.run_id).info.status


def test_a_run_holds_what_was_logged(store, tmp_path):
    make_detector(tmp_path / "cnn")
    with Run("cnn", "first", PARAMS) as run:
        import mlflow  # late, as the program does: telemetry is off by now

        assert mlflow.active_run() is None  # nothing process-wide
        run.metrics(0, loss=0.7, dev_eer=0.4)
        run.metrics(1, loss=0.6, dev_eer=0.3)
        llr = np.linspace(-3, 3, 40)
        run.scores(llr, llr + np.sin(9 * llr) > 0, 0.1)
        run.folder(tmp_path / "cnn", "detector")

    data = mlflow_client().get_run(run.run_id).data
    assert data.params["augment.noise.p"] == "0.5"
    assert data.params["augment.codecs"] == "['mp3', 'opus']"
    assert data.tags["version.torch"] == torch.__version__
    assert data.tags["cpu"] and data.tags["version.python"]
    assert history(run, "dev_eer") == [(0, 0.4), (1, 0.3)]
    assert status(run) == "FINISHED"
    files = store / "artifacts" / run.run_id / "artifacts"
    figures = sorted(path.name for path in (files / "figures").iterdir())
    assert figures == ["confusion.png", "det.png", "roc.png", "scores.png"]
    assert (files / "figures" / "det.png").read_bytes().startswith(b"\x89PNG")
    assert (files / "detector" / "weights.safetensors").is_file()


def test_a_resumed_run_keeps_its_id_and_its_curve():
    with pytest.raises(RuntimeError), Run("cnn", "first", PARAMS) as killed:
        killed.metrics(0, loss=0.7)
        raise RuntimeError("power cut")
    assert status(killed) == "FAILED"

    with Run("cnn", "first", {**PARAMS, "lr": 0.1}, killed.run_id) as resumed:
        assert status(resumed) == "RUNNING"
        resumed.metrics(1, loss=0.6)

    assert resumed.run_id == killed.run_id
    assert history(resumed, "loss") == [(0, 0.7), (1, 0.6)]
    assert mlflow_client().get_run(resumed.run_id).data.params["lr"] == "0.001"
    assert status(resumed) == "FINISHED"


def test_a_run_that_the_store_does_not_know_is_begun_anew():
    with Run("cnn", "first", PARAMS, "0123456789abcdef0123456789abcdef") as run:
        pass
    assert known(run.run_id)
    tags = mlflow_client().get_run(run.run_id).data.tags
    assert tags["resumed_from"] == "0123456789abcdef0123456789abcdef"


def test_an_interrupted_run_is_called_killed():
    with pytest.raises(KeyboardInterrupt), Run("cnn", "first", {}) as run:
        raise KeyboardInterrupt
    assert status(run) == "KILLED"


def test_a_run_whose_process_was_killed_is_called_so_by_the_next_one():
    ours, gone, elsewhere = (Run("cnn", name, PARAMS) for name in ("ours", "gone", "elsewhere"))
    node = platform.node()
    ours._client.set_tag(gone.run_id, "process", f"{node}:999999999")  # ids end far below
    ours._client.set_tag(elsewhere.run_id, "process", "another-machine:999999999")
    with Run("cnn", "next", PARAMS):
        pass
    assert [status(run) for run in (ours, gone, elsewhere)] == ["RUNNING", "KILLED", "RUNNING"]


@pytest.mark.parametrize(("error", "ending"), [(KeyboardInterrupt, "KILLED"), (OSError, "FAILED")])
def test_a_run_that_does_not_begin_is_not_left_running(monkeypatch, error, ending):
    def fail():
        raise error

    monkeypatch.setattr("evaluation.tracking.environment", fail)
    with pytest.raises((error, HearsayError)):
        Run("cnn", "first", PARAMS)
    client = mlflow_client()
    (run,) = client.search_runs([client.get_experiment_by_name("cnn").experiment_id])
    assert run.info.status == ending


def test_metrics_outlive_a_store_that_fails_for_a_while(monkeypatch):
    def fail(*_, **__):
        from mlflow.exceptions import MlflowException

        raise MlflowException("database is locked")

    with Run("cnn", "first", {}) as run:
        with monkeypatch.context() as broken:
            broken.setattr(run._client, "log_batch", fail)
            with pytest.warns(UserWarning, match="database is locked.*sent with the next"):
                run.metrics(0, loss=0.7)
        run.metrics(1, loss=0.6)
    assert history(run, "loss") == [(0, 0.7), (1, 0.6)]


def test_many_parameters_fit():
    with Run("cnn", "first", {"layer": {str(n): n for n in range(250)}, "long": "x" * 9000}) as run:
        pass
    params = mlflow_client().get_run(run.run_id).data.params
    assert len(params) == 251 and len(params["long"]) == 6000


def test_a_runs_detector_is_found_in_every_form(tmp_path):
    make_detector(tmp_path / "out" / "detector")
    with Run("cnn", "first", {}) as run:
        run.folder(tmp_path / "out" / "detector", "detector")

    with run_detector(str(tmp_path / "out" / "detector")) as (folder, run_id):
        assert folder == tmp_path / "out" / "detector" and run_id is None
    with run_detector(str(tmp_path / "out")) as (folder, run_id):
        assert folder == tmp_path / "out" / "detector" and run_id is None
    torch.save({"run_id": run.run_id}, tmp_path / "out" / "checkpoint.pt")
    with run_detector(str(tmp_path / "out")) as (_, run_id):
        assert run_id == run.run_id
    with run_detector(run.run_id) as (folder, run_id):
        weights = (folder / "weights.safetensors").read_bytes()
        assert run_id == run.run_id
    assert weights == (tmp_path / "out" / "detector" / "weights.safetensors").read_bytes()
    with (
        pytest.raises(HearsayError, match="'elsewhere' is no run folder"),
        run_detector("elsewhere"),
    ):
        pass


def test_a_checkpoint_of_a_gpu_is_read_without_one(tmp_path, monkeypatch):
    make_detector(tmp_path / "out" / "detector")
    torch.save({"run_id": None}, tmp_path / "out" / "checkpoint.pt")
    load, where = torch.load, []

    def watched(*given, **named):
        where.append(named.get("map_location"))
        return load(*given, **named)

    monkeypatch.setattr(torch, "load", watched)
    with run_detector(str(tmp_path / "out")):
        assert where == ["cpu"]


def test_nested_parameters_become_flat():
    flat = flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": {}})
    assert flat == {"a.b.c": "1", "a.d": "[1, 2]", "e": "{}"}


def test_the_git_commit_and_a_dirty_tree_are_noted(tmp_path):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    assert git_state(tmp_path) == {}
    git("init")
    (tmp_path / "a.txt").write_text("1")
    git("add", "a.txt")
    git("commit", "-m", "one")
    clean = git_state(tmp_path)
    assert len(clean["mlflow.source.git.commit"]) == 40 and clean["git.dirty"] == "false"
    (tmp_path / "a.txt").write_text("2")
    assert git_state(tmp_path) == {**clean, "git.dirty": "true"}
