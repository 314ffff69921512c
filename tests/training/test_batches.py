"""Augmentation and batches: alike for both classes, and a function of the seed alone."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from voice import voice

from corpora.manifest import Clip, originals
from training.augment import DRAWN_CODECS, Augment, augment, draw, retime
from training.batches import Batches, WaveformCrops, epoch_plan

EVERYTHING = Augment(*[1.0] * len(fields(Augment)))
NOTHING = Augment(*[0.0] * len(fields(Augment)))
STEPS = [field.name for field in fields(Augment)]


def augmented(x, chances, seed):
    return augment(x, draw(chances, len(x), np.random.default_rng(seed)))


@pytest.mark.parametrize("name", STEPS)
def test_each_augmentation_changes_the_sound_and_keeps_it_finite(name):
    x = voice(2.1)
    y = augmented(x, replace(NOTHING, **{name: 1.0}), 1)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert 0.7 * len(x) < len(y) < 1.3 * len(x)
    assert len(y) != len(x) or np.abs(x - y).max() > 1e-4


def test_a_chain_repeats_with_its_seed_and_can_be_switched_off():
    x = voice(2)
    one, two = (augmented(x, EVERYTHING, 5) for _ in range(2))
    assert np.array_equal(one, two)
    assert np.array_equal(augmented(x, NOTHING, 5), x)


def test_a_draw_moves_a_recording_and_its_labels_alike():
    x = np.concatenate([np.full(24_000, 0.5), np.full(24_000, -0.5)]).astype(np.float32)
    for seed in range(10):
        drawn = draw(EVERYTHING, len(x), np.random.default_rng(seed))
        label = retime((x < 0).astype(np.float32), drawn) > 0.5
        assert ((retime(x, drawn) < -0.25) == label).mean() > 0.999


def test_codecs_are_drawn_as_often_as_they_should_be_at_all_their_bit_rates():
    rng = np.random.default_rng(0)
    drawn = [draw(replace(NOTHING, codec=1.0), 16_000, rng).codecs for _ in range(2000)]
    opus = [c for codecs in drawn for c in codecs if c.options.get("application") == "voip"]
    assert 0.22 < len(opus) / sum(map(len, drawn)) < 0.34
    assert {codec.kbps for codec in opus} == {*DRAWN_CODECS["opus-voip"][1]}
    assert 0.1 < np.mean([len(codecs) == 2 for codecs in drawn]) < 0.2


def test_noise_is_as_loud_as_it_says():
    x = voice(2)
    added = augmented(x, replace(NOTHING, noise=1.0), 0) - x
    ratio = 20 * np.log10(np.std(x) / np.std(added))
    assert 4.9 < ratio < 40.1


def clip(n, label, system, speaker, source):
    return Clip(str(n), None, label, system=system, speaker=speaker, source=source)


def test_an_epoch_is_balanced_by_label_and_pairs_by_source():
    clips = [clip(n, "bonafide", "bonafide", "anna", "studio") for n in range(90)]
    clips += [clip(90 + n, "bonafide", "bonafide", f"s{n}", "street") for n in range(10)]
    clips += [clip(100 + n, "spoof", "common", "anna", "studio") for n in range(81)]
    clips += [clip(181, "spoof", "rare", "anna", "studio")]
    plan = epoch_plan(clips, 4000, 0.0, random.Random(0))
    drawn = [clips[i] for i in plan]
    assert [c.is_spoof for c in drawn] == [False, True] * 4000
    rare = sum(c.system == "rare" for c in drawn)
    assert 0.08 < rare / 4000 < 0.12  # weights 9 and 1: the root of 81 and of 1
    paired = epoch_plan(clips, 400, 1.0, random.Random(0))
    assert all(
        clips[a].source == clips[b].source for a, b in zip(paired[::2], paired[1::2], strict=False)
    )


def test_batches_are_a_function_of_seed_epoch_and_place():
    rng = np.random.default_rng(0)
    audio = [(voice(s, seed=i) * 32767).astype(np.int16) for i, s in enumerate((0.6, 2.5))]
    clips = [clip(0, "bonafide", "bonafide", "a", "x"), clip(1, "spoof", "vits", "a", "x")]
    plan = rng.integers(0, 2, 32).tolist()

    def batches(epoch):
        crops = WaveformCrops(clips, audio, EVERYTHING)
        return Batches(crops, clips, plan, 4, (1.0, 2.0), (3, epoch))

    x, y, mask = batches(0)[5]
    again = batches(0)[5][0]
    other = batches(1)[5][0]
    assert x.shape[0] == 4
    assert 16_000 <= x.shape[1] < 32_000
    assert y.tolist() == [float(p) for p in plan[20:24]]
    assert mask.shape == x.shape and mask[y == 1].any(1).all() and not mask[y == 0].any()
    assert x.equal(again)
    assert x.shape != other.shape or not x.equal(other)
    assert len(batches(0)) == 8


PAIR = [
    Clip(
        id=name, path=Path(name), label=label, split="train", system=system, family="",
        speaker="s", source="", language="en", codec="", original=original,
    )
    for name, label, system, original in (
        ("a/one", "bonafide", "bonafide", ""), ("a-world", "spoof", "copy-world", "a/one")
    )
]  # fmt: skip


def test_a_spliced_copy_is_its_original_but_for_one_segment():
    x = (3000 * voice(2.0)).astype(np.int16)
    copy = np.roll(x, 4000)
    assert originals(PAIR) == {1: 0}
    crops = WaveformCrops(PAIR, [x, copy], NOTHING, originals(PAIR), splices=1.0)
    batches = Batches(crops, PAIR, [0, 1], 2, (2.0, 2.0), (0, 0))
    for seed in range(5):
        batches.seed = (seed, 0)
        rows, labels, mask = batches[0]
        changed = np.flatnonzero(np.abs(rows[0] - rows[1]).numpy() > 1e-6)
        assert labels.tolist() == [0, 1]
        assert 0.3 * 16_000 < changed[-1] - changed[0] <= 1.5 * 16_000
        told = np.flatnonzero(mask[1])
        assert abs(told[0] - changed[0]) < 200 and abs(told[-1] - changed[-1]) < 200
        assert not mask[0].any()


def test_a_spliced_segment_is_still_known_when_the_edges_moved():
    x = np.full(48_000, 3000, dtype=np.int16)
    moving = replace(NOTHING, edges=1.0, speed=1.0)
    crops = WaveformCrops(PAIR, [x, -x], moving, originals(PAIR), splices=1.0)
    batches = Batches(crops, PAIR, [0, 1] * 10, 20, (2.0, 2.0), (0, 0))
    rows, _, mask = batches[0]
    for row, told in zip(rows[1::2], mask[1::2], strict=True):
        assert told.any() and ((row < -0.01) == told).float().mean() > 0.99


def test_spliced_crops_meet_the_edges_as_often_as_others():
    ramp = np.linspace(6_000, 24_000, 32_000).astype(np.int16)
    moving = replace(NOTHING, edges=1.0)
    crops = WaveformCrops(PAIR, [ramp, -ramp], moving, originals(PAIR), splices=1.0)
    batches = Batches(crops, PAIR, [0, 1] * 400, 800, (1.2, 1.2), (0, 1))
    rows, _, mask = batches[0]
    assert mask[1::2].any(1).all()
    silent = rows.abs() < 0.01
    padded = silent[:, 0] | silent[:, -1]
    repeated = ~padded & (rows[:, -1].abs() < rows[:, 0].abs())
    assert not repeated.any()
    real, spliced = padded[::2].float().mean(), padded[1::2].float().mean()
    assert real > 0.1 and abs(real - spliced) < 0.05


def test_a_pair_can_be_a_recording_and_a_copy_of_it():
    def clip(name: str, label: str, system: str, source: str, original: str = "") -> Clip:
        return Clip(
            id=name, path=Path(name), label=label, split="train", system=system, family="",
            speaker=name, source=source, language="en", codec="", original=original,
        )  # fmt: skip

    clips = [clip(f"r{i}", "bonafide", "bonafide", f"s{i}") for i in range(4)]
    clips += [clip(f"copy{i}", "spoof", "copy-world", f"s{i}", f"r{i}") for i in range(3)]
    clips += [clip("x", "spoof", "vits", "s9")]
    plan = epoch_plan(clips, 50, 0.5, random.Random(0), copy_pairs=1.0)
    assert all(
        originals(clips)[fake] == real for real, fake in zip(plan[::2], plan[1::2], strict=True)
    )
    assert set(plan[::2]) == {0, 1, 2}
    some = epoch_plan(clips, 200, 0.0, random.Random(0), copy_pairs=0.3)
    assert 7 in some and 3 in some
