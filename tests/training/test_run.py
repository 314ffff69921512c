"""What a run refuses before it begins: folds that leak, labels that lack, keys without effect."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_corpus import COLUMNS, tiny_corpus

from corpora.manifest import corpus_hash
from detectors.errors import HearsayError
from training.augment import Augment
from training.check import check
from training.clips import choose_clips
from training.recipe import FusionRecipe, NetworkRecipe, SpecAugment

SMALL = NetworkRecipe(
    name="small",
    architecture="cnn",
    options={"channels": [4, 8], "embedding": 8},
    window=16_000,
    pairs=4,
    batch=4,
)
PROSODY = NetworkRecipe(
    name="p",
    architecture="prosody",
    options={"width": 4, "embedding": 4, "hidden": 8},
    window=16_000,
    cache_variants=2,
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return tiny_corpus(tmp_path_factory.mktemp("corpus"), speakers=6, seconds=0.5)


def without(manifest: Path, name: str, label: str, split: str) -> Path:
    """A manifest beside this one that lacks the clips of a label in a split."""
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    with manifest.with_name(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(r for r in rows if (r["label"], r["split"]) != (label, split))
    return manifest.with_name(name)


@pytest.mark.parametrize(
    ("key", "recipe"),
    [
        ("members", FusionRecipe(name="f", members=("cnn",))),
        ("teachers", replace(SMALL, teachers=("cnn",))),
    ],
)
def test_a_fold_is_not_judged_by_what_knows_all_of_train(manifest, key, recipe):
    with pytest.raises(HearsayError, match=f"{key}: these learned from all of train"):
        choose_clips(recipe, manifest, (0, 3))
    choose_clips(recipe, manifest)


def test_a_fold_starts_from_published_weights_or_a_run_of_the_same_fold(manifest, tmp_path):
    init = tmp_path / "checkpoint.best.pt"
    config = replace(SMALL, init=str(init))
    _, held = choose_clips(config, manifest, (0, 3))  # nothing lies beside the weights
    for begun in ({}, {"held_hash": None}, {"held_hash": corpus_hash(held)}):
        (tmp_path / "recipe.json").write_text(json.dumps(begun))
        if begun.get("held_hash"):
            assert choose_clips(config, manifest, (0, 3))[1] == held
        else:
            with pytest.raises(HearsayError, match="may have learned from what the fold holds out"):
                choose_clips(config, manifest, (0, 3))
    with pytest.raises(HearsayError, match="may have learned"):
        choose_clips(config, manifest, (1, 3))
    choose_clips(config, manifest)
    (tmp_path / "recipe.json").unlink()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HearsayError, match="may have learned"):
        choose_clips(config, manifest, (0, 3))


def test_recipes_of_any_seed_are_ranked_on_the_same_folds(manifest):
    recipes = [replace(SMALL, seed=seed) for seed in (0, 1, 2)]
    first, *others = [choose_clips(recipe, manifest, (1, 3)) for recipe in recipes]
    assert all(chosen == first for chosen in others)


@pytest.mark.parametrize(
    ("label", "split"), [("spoof", "dev"), ("bonafide", "dev"), ("spoof", "train")]
)
def test_a_split_of_one_label_is_named(manifest, label, split):
    one = without(manifest, "one.csv", label, split)
    with pytest.raises(HearsayError, match=f"The split {split} of .* holds no {label} clips"):
        choose_clips(SMALL, one)


def test_copies_give_train_its_spoofs(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = without(manifest, "real.csv", "spoof", "train")
    learn, _ = choose_clips(replace(SMALL, copies=("griffin-lim",)), one)
    assert sum(c.is_spoof for c in learn) == 6


@pytest.mark.parametrize("key", ["copy_pairs", "splices"])
def test_pairs_and_splices_need_copies(manifest, key):
    with pytest.raises(HearsayError, match="name fakers in copies"):
        choose_clips(replace(SMALL, **{key: 0.5}), manifest)


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (SMALL, {"architecture": "aasist", "frontend": "raw", "options": {},
                 "spec_augment": SpecAugment()}, "front-end raw makes no spectrogram"),
        (PROSODY, {"spec_augment": SpecAugment()}, "front-end prosody makes no spectrogram"),
        (PROSODY, {"cache_variants": 1, "augment": Augment(noise=1.0)}, "kept as it is"),
        (SMALL, {"device": "cuda"}, "no GPU"),
        (SMALL, {"hop_s": 0.0}, "hop_s: Input should be greater than or equal to 0.1"),
    ],
)  # fmt: skip
def test_a_key_without_effect_or_sense_is_refused(config, change, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check(config)
    with pytest.raises(HearsayError, match=said):
        check(replace(config, **change))
