"""The pool: follows the registry's champions, and never ends up with less than it had."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from stores import make_detector, use_store

from detectors import HearsayError, registry
from detectors.files import sha256_of
from detectors.pool import DetectorPool


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """Folder of a fresh store with two versions of cnn; the first is champion."""
    folder = use_store(tmp_path, monkeypatch).parent
    for seed, name in enumerate(("one", "two")):
        make_detector(tmp_path / name, seed)
        registry.register(tmp_path / name, "cnn")
    registry.promote("cnn", 1)
    return folder


def in_service(pool: DetectorPool) -> list[str]:
    return [version.uri for version, _ in pool.detectors()]


def weights_of(store: Path, version: int) -> Path:
    """The stored weights of a version of cnn."""
    pin = registry.resolve(f"models:/cnn/{version}").tags["sha256.weights.safetensors"]
    folders = [path.parent for path in store.glob("artifacts/**/detector/config.json")]
    (folder,) = [f for f in folders if registry.checksums(f)["sha256.weights.safetensors"] == pin]
    return folder / "weights.safetensors"


def test_a_promotion_is_served_at_the_next_refresh(store):
    pool = DetectorPool()
    pool.refresh()
    before = pool.detectors()
    registry.promote("cnn", 2, force=True)
    assert in_service(pool) == ["models:/cnn/1"]
    pool.refresh()

    ((version, detector),) = pool.detectors()
    assert version.uri == "models:/cnn/2" and version.aliases == ("champion",)
    assert detector.version == "2"
    assert pool.notices == ()
    assert [v.uri for v, _ in before] == ["models:/cnn/1"]  # a reader's list stays as it was


def test_an_unchanged_champion_is_not_loaded_again(store):
    pool = DetectorPool()
    pool.refresh()
    ((_, first),) = pool.detectors()
    pool.refresh()
    ((_, second),) = pool.detectors()
    assert first is second


def test_corrupt_weights_leave_the_old_detector_with_a_notice(store):
    pool = DetectorPool(retry_s=0)
    pool.refresh()
    weights = weights_of(store, 2)
    good = weights.read_bytes()
    registry.promote("cnn", 2, force=True)
    weights.write_bytes(good[:-4] + b"\0\1\2\3")
    pool.refresh()

    assert in_service(pool) == ["models:/cnn/1"]
    (notice,) = pool.notices
    assert "version 2 could not be loaded, so version 1 stays in use" in notice
    assert "not the file that was registered" in notice

    weights.write_bytes(good)
    pool.refresh()
    assert in_service(pool) == ["models:/cnn/2"]
    assert pool.notices == ()


def test_a_failed_version_waits_before_it_is_tried_again(store):
    pool = DetectorPool(retry_s=3600)
    weights = weights_of(store, 1)
    good = weights.read_bytes()
    weights.write_bytes(b"")
    pool.refresh()
    assert pool.detectors() == []
    weights.write_bytes(good)
    pool.refresh()
    assert pool.detectors() == [] and "version 1 could not be loaded" in pool.notices[0]


def test_new_names_appear_and_names_without_champion_stay_with_a_notice(store, tmp_path):
    pool = DetectorPool()
    pool.refresh()
    make_detector(tmp_path / "other", seed=7, name="other")
    registry.register(tmp_path / "other", "another")
    registry.promote("another", 1)
    pool.refresh()
    assert in_service(pool) == ["models:/another/1", "models:/cnn/1"] and pool.notices == ()

    registry.mlflow_client().delete_registered_model_alias("cnn", "champion")
    pool.refresh()
    assert in_service(pool) == ["models:/another/1", "models:/cnn/1"]
    (notice,) = pool.notices
    assert "no champion of cnn: what was loaded before stays in use" in notice

    registry.promote("cnn", 2)
    pool.refresh()
    assert in_service(pool) == ["models:/another/1", "models:/cnn/2"] and pool.notices == ()


def delete_version(store: Path) -> None:
    registry.mlflow_client().delete_model_version("cnn", "1")


def delete_model(store: Path) -> None:
    registry.mlflow_client().delete_registered_model("cnn")


def leave_the_alias_behind(store: Path) -> None:
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("UPDATE registered_model_aliases SET version = 9")


@pytest.mark.parametrize("lose", [delete_version, delete_model, leave_the_alias_behind])
def test_a_lost_champion_stays_in_service_with_a_notice(store, lose):
    pool = DetectorPool()
    pool.refresh()
    lose(store)
    pool.refresh()
    assert in_service(pool) == ["models:/cnn/1"]
    assert "no champion of cnn" in pool.notices[0]


@pytest.fixture
def server(monkeypatch):
    """Makes a tracking server that answers everything with the same bytes."""
    running = []

    def answering(body: bytes) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{running[-1].server_port}")

    yield answering
    for one in running:
        one.shutdown()
        one.server_close()


GARBAGE = [
    b"{}",
    b"[]",
    b"null",
    b"<html>It works!</html>",
    b"\xff\xfe",
    b"",
    b'{"registered_models": 3, "model_versions": [{}]}',
    b'{"registered_models": [{"name": "cnn"}], "model_versions": [{"name": "cnn"}]}',
]


@pytest.mark.parametrize("body", GARBAGE)
def test_a_server_that_answers_garbage_takes_nothing_away(store, server, tmp_path, body):
    pool = DetectorPool()
    pool.refresh()
    make_detector(tmp_path / "mine", seed=3, name="mine")
    bundled = DetectorPool([tmp_path / "mine"])
    server(body)
    for serving, there in ((pool, "models:/cnn/1"), (bundled, "models:/mine/0")):
        serving.refresh()
        assert in_service(serving) == [there]
        (notice,) = serving.notices
        assert re.search("stays? in use", notice) and "\n" not in notice


@pytest.mark.parametrize("body", GARBAGE)
def test_a_server_that_answers_garbage_is_one_error_to_those_who_ask(store, server, body, tmp_path):
    make_detector(tmp_path / "mine", seed=3, name="mine")
    server(body)
    with pytest.raises(HearsayError):
        registry.load("models:/cnn@champion")
    with pytest.raises(HearsayError):
        registry.seed([tmp_path / "mine"])


def test_a_champion_whose_config_is_broken_leaves_the_old_one(store):
    """The config was registered so: its SHA-256 fits."""
    pool = DetectorPool(retry_s=0)
    pool.refresh()
    config = weights_of(store, 2).with_name("config.json")
    good = json.loads(config.read_text())
    client = registry.mlflow_client()
    for change, said in (
        ({"figures": {"dev": {"cllr": "x"}}}, "cllr: Input should be a valid number"),
        ({"calibration": {"abstain": [-3000, 3000]}}, "abstain: 0"),
        ({"frontend_options": {"hop": 1}}, "hop is 16 to 16000 samples"),
        ({"name": "x" * (1 << 20)}, "larger than 1 MB"),
    ):
        config.write_text(json.dumps({**good, **change}))
        client.set_model_version_tag("cnn", "2", "sha256.config.json", sha256_of(config))
        client.set_registered_model_alias("cnn", "champion", "2")
        pool.refresh()
        assert in_service(pool) == ["models:/cnn/1"]
        (notice,) = pool.notices
        assert said in notice and "version 1 stays in use" in notice


def test_a_registry_out_of_reach_leaves_what_was_there(store, tmp_path, monkeypatch):
    pool = DetectorPool()
    pool.refresh()
    (tmp_path / "broken.db").write_text("no database, but long enough to be taken for one" * 20)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'broken.db'}")
    pool.refresh()

    assert in_service(pool) == ["models:/cnn/1"]
    (notice,) = pool.notices
    assert "broken.db failed" in notice and "stay in use" in notice


def test_the_bundled_detectors_serve_until_the_registry_does(store, tmp_path):
    make_detector(tmp_path / "resnet", seed=5, name="resnet")
    pool = DetectorPool([tmp_path / "resnet"])
    ((version, bundled),) = pool.detectors()
    assert version.version == 0 and version.aliases == ("bundled",)

    registry.seed([tmp_path / "resnet"])
    pool.refresh()
    entries = {version.uri: detector for version, detector in pool.detectors()}
    assert set(entries) == {"models:/cnn/1", "models:/resnet/1"}
    assert entries["models:/resnet/1"] is bundled  # the same files are not opened twice
    assert bundled.version == "1"


def test_bundled_detectors_stay_where_the_registry_has_no_champion(store, tmp_path):
    for seed, name in enumerate(("cnn", "resnet")):
        make_detector(tmp_path / name, seed, name=name)
    pool = DetectorPool([tmp_path / "cnn", tmp_path / "resnet"])
    pool.refresh()
    assert in_service(pool) == ["models:/cnn/1", "models:/resnet/0"]
    assert pool.notices == (
        "The registry has no champion of resnet: what was loaded before stays in use.",
    )

    registry.register(tmp_path / "resnet", "resnet")
    registry.promote("resnet", 1)
    pool.refresh()
    assert in_service(pool) == ["models:/cnn/1", "models:/resnet/1"] and pool.notices == ()


@pytest.mark.parametrize("what", ["champions", "open_version"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd")])
def test_whatever_goes_wrong_is_a_notice_and_the_next_promotion_is_seen(
    store, monkeypatch, what, error
):
    pool = DetectorPool(retry_s=0)
    pool.refresh()
    registry.promote("cnn", 2, force=True)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(f"detectors.pool.{what}", fail)
        pool.refresh()
    (notice,) = pool.notices
    assert in_service(pool) == ["models:/cnn/1"] and str(error.args[-1]) in notice
    pool.refresh()
    assert in_service(pool) == ["models:/cnn/2"] and pool.notices == ()


def test_the_watcher_sees_a_promotion_and_stops(store):
    pool = DetectorPool()
    pool.watch(seconds=0.05)
    try:
        registry.promote("cnn", 2, force=True)
        for _ in range(1200):
            if in_service(pool) == ["models:/cnn/2"]:
                break
            time.sleep(0.05)
        assert in_service(pool) == ["models:/cnn/2"]
    finally:
        pool.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "detector-pool"]
