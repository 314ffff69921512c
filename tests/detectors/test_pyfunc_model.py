"""Serving: `mlflow models serve` answers a clip from a registered detector."""

from __future__ import annotations

import ast
import base64
import importlib.util
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

import pandas as pd
import pytest
import soundfile
from stores import free_port, make_detector, use_store
from voice import voice

from detectors import Config, load, pyfunc_export, pyfunc_model, read, registry


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


def test_a_row_that_cannot_be_scored_leaves_the_others_alone(tmp_path):
    clip = voice(1.0).tolist()
    served = pyfunc_model.ServedDetector()
    served.detector = make_detector(tmp_path / "cnn")
    rows = pd.DataFrame(
        {"audio": ["AAAA", "ünfug", [[1.0], [1.0, 2.0]], ["a", "b"], {"a": 1}, None, clip]}
    )
    *wrong, right = served.predict(None, rows)
    assert right["error"] is None and 0 < right["p_fake"] < 1
    assert [answer["p_fake"] for answer in wrong] == [None] * 6
    said = [answer["error"] for answer in wrong]
    assert "could not be read" in said[0] and "is not sound" in said[-1]
    assert {*said[1:-1]} == {"The audio is neither a file written in base64 nor a list of numbers."}
    for prior in (0.0, 1.0, float("nan")):
        (answer,) = served.predict(None, rows[-1:], {"prior": prior})
        assert answer["verdict"] is None and "prior lies between 0 and 1" in answer["error"]


def test_what_is_imported_to_serve_is_required():
    code = "import sys, detectors; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = [name for name in ast.literal_eval(done.stdout) if name.startswith("detectors")]
    files = [importlib.util.find_spec(name).origin for name in (*modules, "detectors.pyfunc_model")]
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(Path(file).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    outside = imported - {*sys.stdlib_module_names, "detectors"}
    # MLflow adds itself, and Hugging Face's packages come with the detectors that need them
    outside -= {"mlflow", "transformers", "huggingface_hub", "peft"}
    names = {"parselmouth": "praat-parselmouth", "silero_vad": "silero-vad"}
    assert {names.get(name, name) for name in outside} == {*pyfunc_export.REQUIREMENTS}


@pytest.mark.parametrize(
    ("architecture", "members", "needed"),
    [
        ("cnn", (), False),
        ("ssl", (), True),
        ("fusion", ("cnn",), False),
        ("fusion", ("hub",), True),
    ],
)
def test_a_hugging_face_detector_is_served_with_transformers(
    tmp_path, architecture, members, needed
):
    names = [{"name": name, "digest": "0"} for name in members]
    config = Config("a", architecture, {"members": names} if members else {})
    folders = {tmp_path: config, **{tmp_path / "members" / m: Config(m, m) for m in members}}
    for folder, own in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(own.to_json())
        (folder / "weights.safetensors").touch()
    pinned = pyfunc_export.requirements(tmp_path)
    assert any(line.startswith("transformers==") for line in pinned) == needed


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
    assert answer["error"] is None and answer["stretches"] == []
    assert answer["cautions"] == [*expected.notes] and "was repeated" in expected.notes[0]
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
