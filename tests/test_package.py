"""The package: one command, and a wheel that works where this repository is not."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import types
import venv
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest
from stores import free_port
from tiny_corpus import tiny_corpus

import hearsay
from detectors import load, read

ROOT = Path(__file__).parents[1]
PACKAGES = ("corpora", "detectors", "evaluation", "explain", "page", "training")


@pytest.mark.parametrize("package", ["detectors", "evaluation", "explain", "training"])
def test_every_command_of_a_package_is_a_command_of_hearsay(package):
    commands = argparse.ArgumentParser().add_subparsers()
    importlib.import_module(f"{package}.__main__").add_commands(commands)
    assert {*commands.choices} == {n for p, n, _ in hearsay.COMMANDS.values() if p == package}


def test_help_imports_no_package():
    code = "import sys, hearsay; hearsay._parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout and not {"torch", *PACKAGES} & {*done.stdout.split()}


def test_a_command_says_its_own_name_and_refuses_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        hearsay.main(["explain", "--help"])
    assert ended.value.code == 0 and "usage: hearsay explain" in capsys.readouterr().out
    assert hearsay.main(["explain", "nowhere.wav", "--threads", "1"]) == 2
    assert "nowhere.wav" in capsys.readouterr().err


def test_a_missing_extra_is_a_sentence_and_a_missing_module_is_a_bug(monkeypatch, tmp_path, capsys):
    command = ["fakes", "--manifest", str(tiny_corpus(tmp_path)), "--out", str(tmp_path / "fakes")]
    monkeypatch.setitem(sys.modules, "corpora.copy_synthesis", Absent("pyworld"))
    assert hearsay.main(command) == 2 and "'hearsay[train]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "corpora.copy_synthesis", Absent("corpora.nonsense"))
    with pytest.raises(ModuleNotFoundError):
        hearsay.main(command)


class Absent(types.ModuleType):
    """A module that cannot be used, since another one is missing."""

    def __getattr__(self, name: str) -> None:
        raise ModuleNotFoundError(name=self.__name__)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy, since setuptools writes beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "runs", "mlruns", "tests", "docs")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_all_data(wheel):
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.*")]
    kept = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if file.is_file() and "__pycache__" not in file.parts and file.name[0] != "."
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == kept | {"app.py", "hearsay.py"}


@pytest.fixture(scope="module")
def installed(wheel) -> Path:
    """The `bin` of a fresh environment with the wheel, and this one's other packages."""
    home = wheel.parent / "environment"
    venv.create(home)
    command = [sys.executable, "-m", "pip", f"--python={home / 'bin' / 'python'}", "install"]
    subprocess.run([*command, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    # a .pth file in a folder that is named by one is not read: the checkout stays out of sight
    (site,) = home.glob("lib/python*/site-packages")
    (site / "parent.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin"


def run(command: Path, *arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [command, *arguments], cwd=folder, env=outside(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def outside() -> dict[str, str]:
    """Our variables without those that would lead back into the repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.slow
def test_an_installed_hearsay_scores_like_this_one(installed, tmp_path):
    example = ROOT / "page" / "examples" / "english-vocoder-copy.flac"
    expected = load("cnn").score(read(example))
    said = run(
        *(installed / "hearsay", "score", str(example), "--models", "cnn", "--json"),
        folder=tmp_path,
    )
    assert json.loads(said)["llr"] == pytest.approx(expected.llr, abs=1e-4)
    assert json.loads(said)["verdict"] == load("cnn").config.calibration.verdict(expected.llr)
    where = "import detectors, app; print(detectors.__file__, app.__file__)"
    assert str(ROOT) not in run(installed / "python", "-c", where, folder=tmp_path)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_an_installed_hearsay_shows_the_page(installed, tmp_path):
    port = free_port()
    with (tmp_path / "page.log").open("w+") as log:
        page = subprocess.Popen(
            [installed / "hearsay", "demo", "--port", str(port)],
            cwd=tmp_path,
            env=outside() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"},
            stdout=log,
            stderr=log,
        )
        try:
            while "Hearsay is at" not in (tmp_path / "page.log").read_text():
                assert page.poll() is None, (tmp_path / "page.log").read_text()
                time.sleep(0.2)
            with urlopen(f"http://127.0.0.1:{port}/config", timeout=60) as answer:
                config = json.load(answer)
        finally:
            page.terminate()
            page.wait(60)
    labels = [part["props"].get("value") for part in config["components"]]
    assert "english real" in labels and "--fake:" in config["css"]
