"""Every row of the catalogue: one epoch of its own recipe makes a detector like any other."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import backbones
import numpy as np
import pytest
import torch
from stores import make_detector, use_store
from tiny_corpus import tiny_corpus
from toys import waveform
from voice import voice

from detectors import Detector, load
from detectors.catalog import CATALOG, Entry
from explain import explain, methods
from training.__main__ import main
from training.recipe import NetworkRecipe, Recipe, read_recipe
from training.run import train

ROOT = Path(__file__).parents[2]
CONFIGS = {path.stem: path for path in sorted((ROOT / "training/configs").glob("*.yaml"))}
AS_THEY_STAND = {"hub"}  # imported, never trained
NARROW = {  # options; a row that is not here is trained at its own width
    "cnn": {"bands": 160, "channels": [4, 8], "embedding": 8},
    "resnet": {"width": 4},
    "aasist": {"channels": [4, 8], "graph": [8, 8]},
    "aasist-l": {"channels": [4, 8], "graph": [8, 8]},
    "transformer": {"depth": 1},
    "mobilenet": {"width": 0.1},
    "vgg16": {"width": 0.05},
    "whisper": {"width": 16, "attention_heads": 2, "hidden": 8},
    "prosody": {"width": 4, "embedding": 4, "hidden": 8},
    "rawgat-st": {"narrow": 4, "wide": 8},
}
WINDOWS = {"rawgat-st": 51_200}  # its graphs want so much; the others read a second


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny corpus, a backbone and members to fuse, and a store of its own."""
    folder = tmp_path_factory.mktemp("architectures")
    tiny_corpus(folder / "corpus", speakers=3)
    backbones.backbone(folder / "backbone")
    for seed in (1, 2):
        make_detector(folder / f"member{seed}", seed, f"member{seed}")
    with pytest.MonkeyPatch.context() as patch:
        use_store(folder, patch)
        patch.chdir(folder)
        # new processes would import everything again to measure a few seconds of sound
        patch.setattr("training.features.ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
        yield folder


def small(config: Recipe, place: Path) -> Recipe:
    """The recipe with one step on the tiny corpus, at a second of sound where that is enough."""
    name = config.architecture
    if not isinstance(config, NetworkRecipe):
        return replace(config, members=(str(place / "member1"), str(place / "member2")))
    options = NARROW.get(name, config.options)
    if name == "ssl":
        options = {**config.options, "backbone": str(place / "backbone")}
    window = WINDOWS.get(name, 16_000)
    return replace(
        config,
        options=options,
        window=window,
        crop_s=(window / 16_000, window / 16_000),
        copies=(),
        copy_pairs=0.0,
        splices=0.0,
        init=None,
        interpolate=0.0,
        cache_variants=min(config.cache_variants, 2),
        epochs=1,
        pairs=2,
        batch=4,
        bfloat16=False,
    )


def recipes() -> dict[str, Recipe]:
    """A recipe for each architecture that has one."""
    configs = [read_recipe(path) for path in CONFIGS.values()]
    return {config.architecture: config for config in reversed(configs)}


def test_every_architecture_has_a_recipe():
    assert CATALOG.keys() - recipes().keys() == AS_THEY_STAND


@pytest.mark.parametrize("architecture", sorted(CATALOG.keys() - AS_THEY_STAND))
def test_an_epoch_makes_a_detector(architecture, place):
    config = small(recipes()[architecture], place)
    outcome = train(config, place / "corpus/manifest.csv", place / "runs" / architecture)
    trained, opened = outcome.detector, load(outcome.folder)
    assert opened.config == trained.config and "dev" in opened.config.figures

    clip = waveform(voice(1.5, seed=9))
    score = opened.score(clip)
    assert np.isfinite(score.llr) and score == trained.score(clip)

    n = trained.config.window
    x = torch.from_numpy(np.stack([voice(n / 16_000, seed=seed) for seed in range(3)]))
    with torch.inference_mode():
        together, alone = opened.logits(x), opened.logits(x[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-4, rtol=1e-4)

    explanation = explain(opened, clip, "shapley-time", players=2)
    moved = explanation.full - explanation.empty
    assert explanation.values.shape == (2,) and np.isfinite(explanation.values).all()
    assert explanation.values.sum() == pytest.approx(moved, abs=1e-4)


def test_a_detector_comes_in_by_the_door_that_contributing_shows(place, monkeypatch, capsys):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    module, line, recipe = re.findall(r"```(?:python|yaml)\n(.*?)```", text, re.DOTALL)[:3]
    found: dict[str, Any] = {"__name__": "detectors.models.tiny"}
    exec(module, found)
    for name, entry in eval(f"{{{line}}}", {"Entry": Entry, "Tiny": found["Tiny"]}).items():
        monkeypatch.setitem(CATALOG, name, entry)
    (place / "tiny.yaml").write_text(
        recipe.replace("epochs: 20", "epochs: 1") + "window: 16000\npairs: 4\nbatch: 4\n"
    )
    manifest = str(place / "corpus/manifest.csv")
    assert main(["train", "tiny.yaml", "--manifest", manifest]) == 0
    assert main(["register", "runs/tiny", "--name", "tiny"]) == 0
    assert main(["promote", "tiny", "1"]) == 0
    tiny = load("models:/tiny@champion")
    assert isinstance(tiny, Detector) and tiny.config.architecture == "tiny"
    assert "gradcam" in methods(tiny)
    assert explain(tiny, waveform(voice(1.0)), "gradcam").values.any()
