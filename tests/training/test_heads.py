"""Heads of a frozen network: embeddings are made once, the encoder stays, and the head learns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_corpus import tiny_corpus

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors import Config, Detector
from detectors.errors import HearsayError
from training import features
from training.augment import Augment
from training.check import check
from training.clips import Material
from training.heads import fit_heads
from training.recipe import NetworkRecipe

OPTIONS = {"width": 16, "attention_heads": 2, "hidden": 8}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Starts from a random detector on disk; features are made by threads in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(features, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    torch.manual_seed(5)
    Detector(Config("first", "whisper", OPTIONS, frontend="whisper-mel")).save(tmp_path / "first")
    return NetworkRecipe(
        name="w",
        architecture="whisper",
        options=OPTIONS,
        init=str(tmp_path / "first/weights.safetensors"),
        window=16_000,
        crop_s=(0.6, 1.0),
        cache_variants=2,
        heads=2,
        mixup=0.3,
        epochs=8,
        pairs=64,
        batch=16,
        lr=1e-2,
        bfloat16=False,
        augment=Augment(noise=1.0, codec=1.0),
    )


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    tiny_corpus(folder, speakers=3)
    clips = read_manifest(folder / "manifest.csv")
    train, train_audio = decode_all([c for c in clips if c.split == "train"])
    held, held_audio = decode_all([c for c in clips if c.split == "dev"])
    return Material(train, train_audio, held, held_audio)


def test_heads_learn_while_the_encoder_stays(recipe, material):
    told = []
    made = fit_heads(recipe, material, lambda epoch, values: told.append((epoch, values)))
    assert [epoch for epoch, _ in told] == list(range(16))
    for first in (0, 8):  # of each head
        assert told[first + 7][1]["loss"] < told[first][1]["loss"]
    first = Detector.open("first").net.encoder.state_dict()
    for name, weight in made.net.encoder.state_dict().items():
        assert torch.allclose(weight, first[name], atol=1e-3)  # rounded to half precision
    assert made.config.options["hidden"] == 16


def test_the_bundled_recipe_can_start_from_its_own_detector(recipe, material):
    made = fit_heads(recipe, material, lambda epoch, values: None)
    assert made.config.options["hidden"] == 2 * OPTIONS["hidden"]  # another head than the recipe's
    made.save("made")
    from_itself = replace(recipe, init="made/weights.safetensors")
    again = fit_heads(from_itself, material, lambda epoch, values: None)
    assert again.config.options == made.config.options
    encoder = again.net.encoder.state_dict()
    assert all(w.equal(encoder[name]) for name, w in made.net.encoder.state_dict().items())


def test_embeddings_are_made_once_and_the_same_heads_come_out(recipe, material, monkeypatch):
    ignore = lambda epoch, values: None  # noqa: E731
    one = fit_heads(recipe, material, ignore)
    monkeypatch.setattr(features, "_Maker", None)  # nothing is left to be made
    two = fit_heads(recipe, material, ignore)
    assert one.digest == two.digest
    other = fit_heads(replace(recipe, seed=1), material, ignore)
    assert other.digest != one.digest


def test_cached_embeddings_are_what_the_network_reads_of_a_window(recipe, material):
    net = Detector.open("first").net
    files = features.cache_features(recipe, material.held_audio, net=net)
    clip = material.held_audio[0].astype(np.float32) / 32767
    window = torch.from_numpy(np.resize(clip[:16_000], 16_000))[None]
    opened = Detector.open("first")
    wanted = opened.net.embed(opened.frontend(opened.level(window)))[0]
    assert np.load(files[0][0]) == pytest.approx(wanted.numpy(), abs=2e-3)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"cache_variants": 0}, "cache_variants"),
        ({"heads": 0}, "how many heads"),
        ({"heads": 0, "cache_variants": 0}, "mixup is for heads"),
        ({"splices": 0.5, "copies": ("world",)}, "leave splices"),
    ],
)
def test_what_heads_cannot_use_is_refused(recipe, change, reason):
    with pytest.raises(HearsayError, match=reason):
        check(replace(recipe, **change))
