"""Serving: `mlflow models serve` answers a clip from a registered detector."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from stores import free_port, make_detector, use_store
from voice import voice

from detectors import load, read, registry


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[str]:
    """Address of `mlflow models serve` with a registered detector."""
    use_store(tmp_path, monkeypatch)
    make_detector(tmp_path / "cnn")
    registry.register(tmp_path / "cnn", "cnn")
    registry.promote("cnn", 1)
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = ["--env-manager", "local", "--host", host, "--port", port]
    with open(tmp_path / "serve.log", "w+") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "models",
                "serve",
                "-m",
                "models:/cnn@champion",
                *options,
            ],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while not answers(f"http://{address}/ping"):
                assert server.poll() is None, (tmp_path / "serve.log").read_text()
                time.sleep(0.5)
            yield f"http://{address}/invocations"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.slow
def test_mlflow_serves_a_registered_detector(served):
    samples = voice(3)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV")
    clip = base64.b64encode(file.getvalue()).decode()
    expected = load("models:/cnn@champion").score(read(file.getvalue()))

    request = {"dataframe_split": {"columns": ["audio"], "data": [[clip], ["AAAA"], ["%"]]}}
    answer, damaged, garbled = ask(served, request | {"params": {"prior": 0.1}})
    assert answer["llr"] == pytest.approx(expected.llr, abs=1e-5)
    assert answer["p_fake"] == pytest.approx(expected.p_fake(0.1), abs=1e-5)
    assert answer["verdict"] in ("real", "fake", "inconclusive")
    assert answer["error"] is None
    assert damaged["llr"] is None and "could not be read" in damaged["error"]
    assert "base64" in garbled["error"]

    for request in ({"inputs": {"audio": [samples.tolist()]}}, {"inputs": [clip]}):
        (answer,) = ask(served, request)
        assert answer["llr"] == pytest.approx(expected.llr, abs=1e-3)


def ask(url: str, request: dict) -> list[dict]:
    body = json.dumps(request).encode()
    call = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=300) as response:
        return json.load(response)["predictions"]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
