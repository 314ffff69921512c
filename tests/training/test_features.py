"""Cached features: made once, read afterwards, made anew where the sound or the recipe changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import tiny_corpus
from voice import voice

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors import Detector
from detectors.errors import HearsayError
from detectors.frontends.prosody import CHANNELS, Prosody
from detectors.frontends.spectrograms import level
from detectors.models.prosody import ProsodyNet
from training import features
from training.augment import Augment
from training.batches import Batches
from training.check import check
from training.clips import Material
from training.features import FeatureCrops, cache_features
from training.loop import Trainer
from training.losses import PartialSpoof
from training.recipe import NetworkRecipe

CNN_LITE = {"architecture": "cnn-lite", "frontend": "", "options": {}, "cache_variants": 0}
RECIPE = NetworkRecipe(
    name="prosody",
    architecture="prosody",
    options={"width": 8, "embedding": 4, "hidden": 8},
    frontend="prosody",
    window=16_000,
    cache_variants=2,
    epochs=2,
    pairs=16,
    batch=8,
    crop_s=(0.6, 0.8),
    lr=3e-3,
    bfloat16=False,
    augment=Augment(edges=1.0, noise=1.0, codec=0.0),
)


class Here:
    """The process pool's stand-in: makes features in this process and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, *_) -> Here:
        return self

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_) -> None:
        pass

    def map(self, work, jobs, chunksize):
        for job in jobs:
            self.made.append(job[2].name)
            yield work(job)


@pytest.fixture
def pool(tmp_path, monkeypatch) -> Here:
    pool = Here()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(features, "ProcessPoolExecutor", pool)
    return pool


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    clips = read_manifest(tiny_corpus(tmp_path_factory.mktemp("tiny")))
    train = [c for c in clips if c.split == "train"]
    dev = [c for c in clips if c.split == "dev"]
    return Material(*decode_all(train), *decode_all(dev))


def clip(seed: int = 0) -> np.ndarray:
    return np.round(voice(1.0, seed) * 32767).astype(np.int16)


def read(files: list[list[Path]]) -> list[list[np.ndarray]]:
    return [[np.load(path) for path in paths] for paths in files]


def stored(folder: Path, *variants: np.ndarray) -> list[Path]:
    """Files in the folder that hold these features, in a clip's order."""
    paths = [folder / f"{len(list(folder.iterdir()))}-{i}.npy" for i in range(len(variants))]
    for path, one in zip(paths, variants, strict=True):
        np.save(path, one)
    return paths


def test_a_second_run_reads_what_the_first_one_made(pool):
    first = cache_features(RECIPE, [clip(0), clip(1)], 2)
    assert len(pool.made) == len({path for paths in first for path in paths}) == 4
    assert cache_features(RECIPE, [clip(0), clip(1)], 2) == first
    assert len(pool.made) == 4


def test_a_changed_clip_is_made_anew_and_the_others_are_not(pool):
    cache_features(RECIPE, [clip(0), clip(1)])
    changed = clip(1)
    changed[100] += 1
    cache_features(RECIPE, [clip(0), changed])
    assert len(pool.made) == 3


def test_a_changed_definition_or_augmentation_is_made_anew(pool, monkeypatch):
    cache_features(RECIPE, [clip()], 2)
    cache_features(replace(RECIPE, augment=Augment(noise=1.0)), [clip()], 2)
    assert len(pool.made) == 3  # the clip as it is has not changed
    monkeypatch.setattr(Prosody, "version", Prosody.version + 1)
    cache_features(RECIPE, [clip()], 1)
    assert len(pool.made) == 4


def test_a_copy_is_augmented_as_its_recording(pool):
    moved = replace(RECIPE, augment=Augment(1.0, *[0.0] * 7))
    sounds = [clip(), -clip(), -clip()[::-1]]
    (_, one), (_, alike), (_, other) = read(cache_features(moved, sounds, 2, {1: 0}))
    assert alike.shape == one.shape != other.shape


def test_the_first_copy_is_what_the_detector_hears_and_the_next_ones_are_not(pool):
    ((plain, copy),) = read(cache_features(RECIPE, [clip()], 2))
    x = torch.from_numpy(clip().astype(np.float32) / 32767)[None]
    heard = Prosody()(level(x))[0].numpy()
    np.testing.assert_allclose(plain, heard, atol=0.05, rtol=2e-3)  # half precision
    assert copy.shape != plain.shape or not np.allclose(copy, plain, atol=0.05)


def test_processes_write_the_same_files(tmp_path, monkeypatch, pool):
    ((here,),) = read(cache_features(RECIPE, [clip()]))
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (file,) = (tmp_path / features.CACHE).rglob("*.npy")
    file.unlink()
    ((there,),) = read(cache_features(RECIPE, [clip()]))
    assert np.array_equal(here, there)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_crops_are_frames_of_either_copy(material, tmp_path):
    long, short = np.arange(200.0), -np.arange(50.0)
    x = [stored(tmp_path, long[None], short[None])] * len(material.train)
    crops = FeatureCrops(material.train, x, {}, 0.0, 100.0)
    batches = Batches(crops, material.train, [0, 1] * 40, 20, (0.8, 0.8), (0, 0))
    rows = torch.cat([batches[i][0] for i in range(4)])[:, 0].numpy()
    assert rows.shape == (80, 80)
    ends = np.diff(rows, axis=1)
    assert {float(row[1] - row[0]) for row in rows} == {1.0, -1.0}
    assert set(np.unique(ends)) == {1.0, -1.0, 49.0}  # a short one is repeated
    assert torch.equal(batches[2][0], batches[2][0])


def test_a_segment_of_a_copy_lies_in_its_recording_augmented_alike(material, tmp_path):
    fake = next(i for i, c in enumerate(material.train) if c.is_spoof)
    real = next(i for i, c in enumerate(material.train) if not c.is_spoof)
    frames = np.arange(400.0)[None]
    x = {
        real: stored(tmp_path, frames, frames + 1000),
        fake: stored(tmp_path, -frames, -frames - 1000),
    }
    crops = FeatureCrops(material.train, x, {fake: real}, 1.0, 100.0)
    batches = Batches(crops, material.train, [fake] * 40, 40, (2.0, 2.0), (0, 0))
    rows, labels, where = batches[0]
    assert labels.all()
    for row, told in zip(rows[:, 0], where, strict=True):
        assert 50 <= told.sum() <= 151 and torch.equal(row < 0, told)
        assert set(row.abs().diff().tolist()) == {1.0}  # one variant, and the same moments


def test_prosody_learns_which_part_is_synthetic():
    torch.manual_seed(0)
    net = ProsodyNet(width=4, embedding=4, hidden=8, dropout=0.0, drop_groups=0.0, noise=0.0)
    where = torch.zeros(6, 80, dtype=torch.bool)
    where[:2, 16:48], where[2:4, 48:] = True, True
    x = torch.randn(6, len(CHANNELS), 80) + 1.5 * where[:, None]
    judge = PartialSpoof(1.0, smoothing=0.0).judge
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-2)
    y = where.any(1).float()
    for _ in range(25):
        missed = judge(net, x, y, where)[2]
        optimiser.zero_grad()
        missed.backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        whole, labels, missed = judge(net, x, y, where)
        elsewhere = judge(net, x, y, where.roll(32, 1))[2]
        assert torch.allclose(whole, net(x)[4:], atol=1e-5)
    assert torch.equal(labels, y[4:])  # what is synthetic in part is not judged as a whole
    assert missed < 0.3 < 1 < elsewhere
    assert judge(net, x[4:], y[4:], where[4:])[2] == 0


def test_a_detector_of_cached_features_trains_and_hears_sound(pool, material, tmp_path):
    trainer = Trainer(RECIPE, material, tmp_path / "run.pt")
    assert len(pool.made) == 2 * len(material.train) + len(material.held)
    assert float(trainer.net.std.min()) > 0 and not torch.equal(
        trainer.net.mean, torch.zeros(len(CHANNELS))
    )
    seen = []
    detector = trainer.run(lambda e, v: seen.append(v))
    assert len(seen) == 2 and np.isfinite(seen[-1]["loss"])
    assert torch.equal(detector.net.mean, trainer.net.mean)  # averaging keeps the constants
    detector.save(tmp_path / "detector")
    again = Detector.open(tmp_path / "detector")
    samples = material.held_audio[0].astype(np.float32) / 32767
    assert again.window_logits(samples, [0]) == pytest.approx(detector.window_logits(samples, [0]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cache_variants": 0}, "is trained on cached features"),
        (
            {**CNN_LITE, "partial_spoof_weight": 0.5},
            "only cnn, resnet and prosody judge parts",
        ),
        ({"architecture": "aasist", "frontend": "raw", "options": {}}, "front-end with frames"),
    ],
)
def test_recipes_that_cannot_be_cached_are_refused(change, sentence):
    with pytest.raises(HearsayError, match=sentence):
        check(replace(RECIPE, **change))
