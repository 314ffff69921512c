"""Hints: what trained detectors see in a sound is what a network on the waveform learns to see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_corpus import tiny_corpus
from voice import voice

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors import DetectorError, load
from detectors.errors import HearsayError
from detectors.frontends.spectrograms import level
from detectors.models.tssdnet import IncTSSDNet
from training.distillation import Hints, hints
from training.loop import Material, Trainer
from training.recipe import TrainConfig
from training.run import check

TAUGHT = TrainConfig(
    name="taught",
    architecture="inc-tssdnet",
    manifest="",
    teachers=("cnn-mel",),
    window=16_000,
    epochs=2,
    pairs=8,
    batch=4,
    crop_s=(0.8, 1.0),
    half=False,
    save_every=2,
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    clips = read_manifest(tiny_corpus(tmp_path_factory.mktemp("tiny")))
    parts = [[c for c in clips if c.split == split] for split in ("train", "dev")]
    train, dev = parts
    return Material(train, decode_all(train), dev, decode_all(dev))


def test_a_map_comes_closer_to_what_the_teacher_sees():
    torch.manual_seed(0)
    net, given = IncTSSDNet(), Hints([load("cnn-mel"), load("cnn")], 128)
    x = level(torch.stack([torch.from_numpy(voice(1.0, seed=n)) for n in range(4)]))
    taught = [*net.parameters(), *given.readings.parameters()]
    before = [w.clone() for w in given.nets.parameters()]
    optimiser = torch.optim.Adam(taught, lr=3e-3)
    missed = []
    for _ in range(30):
        logit, opinion, loss = given(net, x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        missed.append(float(loss.detach()))
    assert missed[-1] < 0.8 * missed[0]
    assert logit.shape == (4,)
    alone = [load(name) for name in ("cnn-mel", "cnn")]
    with torch.no_grad():
        told = sum(t.net(t.frontend(x)) for t in alone) / 2
    assert torch.allclose(opinion, told.sigmoid(), atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, given.nets.parameters(), strict=True))
    assert not given.nets[0].training


def test_a_killed_run_with_hints_ends_with_the_same_weights(material, tmp_path):
    whole = Trainer(TAUGHT, material, tmp_path / "whole.pt").run(lambda *_: None)
    first = Trainer(TAUGHT, material, tmp_path / "killed.pt")
    with pytest.raises(KeyboardInterrupt):
        first.run(_killed_after_an_epoch)
    torch.manual_seed(999)
    again = Trainer(TAUGHT, material, tmp_path / "killed.pt")
    assert again.epoch == 1
    ends = (whole.net.state_dict(), again.run(lambda *_: None).net.state_dict())
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def _killed_after_an_epoch(epoch: int, values: dict[str, float]) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "aasist"}, "only res-tssdnet and inc-tssdnet take hints"),
        ({"architecture": "res-tssdnet-2d", "frontend": "", "frontend_options": {}}, "take hints"),
        ({"teachers": ("aasist",)}, "'aasist' is of the architecture aasist; only .* frames teach"),
    ],
)
def test_who_cannot_learn_or_teach_is_refused_before_anything_is_read(change, words):
    with pytest.raises(HearsayError, match=words):
        check(replace(TAUGHT, **change))


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(DetectorError, match="nobody"):
        hints(replace(TAUGHT, teachers=("nobody",)), IncTSSDNet())
