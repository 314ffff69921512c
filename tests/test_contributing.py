"""What CONTRIBUTING.md shows works: its blocks are put where they say that they belong, and run."""

from __future__ import annotations

import re
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voice import voice

import corpora.fakers
import detectors.catalog
import explain.catalog
from corpora.manifest import read_manifest
from corpora.splits import check_disjoint
from detectors import Config, Detector
from detectors.audio import bare
from explain import explain as explain_clip
from training.recipe import read_recipe

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


def block(language: str, head: str) -> str:
    """The block in this language that begins so."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(head)]
    return found


def module(path: str) -> types.ModuleType:
    """The block that shows a whole file, run as that file."""
    name = path.removesuffix(".py").replace("/", ".")
    made = types.ModuleType(name)
    made.__package__ = name.rpartition(".")[0]
    exec(compile(block("python", f"# {path}\n"), path, "exec"), vars(made))
    return made


def row(path: str, table: str) -> str:
    """The block that shows a row of a table, without its first line."""
    return block("python", f"# {path}, in {table}\n").partition("\n")[2]


def test_a_new_detector(monkeypatch, tmp_path):
    made = module("detectors/models/tiny.py")
    text = row("detectors/catalog.py", "CATALOG")
    (entry,) = eval(f"{{{text}}}", vars(detectors.catalog) | vars(made)).items()
    monkeypatch.setitem(detectors.catalog.CATALOG, *entry)
    wave = bare(voice(5))
    detector = Detector(Config("tiny", "tiny"))
    assert np.isfinite(detector.score(wave).llr)
    assert explain_clip(detector, wave, "gradcam").values.ndim == 2
    path = tmp_path / "tiny.yaml"
    path.write_text(block("yaml", "# training/configs/tiny.yaml\n"))
    recipe = read_recipe(path)
    assert recipe.architecture == "tiny" and recipe.frontend == "log-mel"


def test_a_new_method(monkeypatch):
    made = module("explain/methods/appearing.py")
    text = row("explain/catalog.py", "METHODS")
    method = eval(text, vars(explain.catalog) | {"appearing": made})
    monkeypatch.setitem(explain.catalog.METHODS, method.name, method)
    explanation = explain_clip(Detector(Config("cnn", "cnn")), bare(voice(3)), "appearing")
    assert explanation.values.shape == (8,) and explanation.residual < 1e-5


def test_a_new_faker():
    made = module("corpora/fakers/quantised.py")
    text = row("corpora/fakers/__init__.py", "FAKERS")
    ((name, faker),) = eval(f"{{{text}}}", vars(corpora.fakers) | vars(made)).items()
    x = voice(1)
    copy = faker(x, np.random.default_rng(0))
    assert name == "quantised" and copy.shape == x.shape and copy.dtype == np.float32
    assert 0 < np.abs(copy - x).max() < 0.1


def test_a_new_corpus(tmp_path):
    (tmp_path / "corpus.csv").write_text(block("csv", "path,"))
    for name in re.findall(r"^(\S+\.flac),", block("csv", "path,"), re.MULTILINE):
        soundfile.write(tmp_path / name, voice(1), 16_000)
    clips = read_manifest(tmp_path / "corpus.csv")
    assert {clip.split for clip in clips} == {"train", "dev"}
    assert sum(clip.is_spoof for clip in clips) == 2
    check_disjoint(clips)


@pytest.mark.parametrize("path", re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT))
def test_what_is_named_is_there(path):
    new = path.endswith(("tiny.yaml", "tiny.py"))
    assert new or (Path(__file__).parents[1] / path).exists()
