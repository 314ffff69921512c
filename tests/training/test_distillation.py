"""Distillation: what trained detectors make of a sound is what a network on the waveform learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_corpus import tiny_corpus
from torch.nn.functional import binary_cross_entropy_with_logits
from voice import voice

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors import load
from detectors.errors import HearsayError
from detectors.frontends.spectrograms import level
from detectors.models.tssdnet import IncTSSDNet
from training.check import check
from training.clips import Material
from training.loop import Trainer
from training.losses import Distillation
from training.recipe import NetworkRecipe

TAUGHT = NetworkRecipe(
    name="taught",
    architecture="inc-tssdnet",
    teachers=("cnn-mel",),
    window=16_000,
    epochs=2,
    pairs=8,
    batch=4,
    crop_s=(0.8, 1.0),
    bfloat16=False,
    save_every=2,
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    clips = read_manifest(tiny_corpus(tmp_path_factory.mktemp("tiny")))
    parts = [[c for c in clips if c.split == split] for split in ("train", "dev")]
    train, dev = parts
    return Material(*decode_all(train), *decode_all(dev))


def test_a_map_comes_closer_to_what_the_teacher_sees():
    torch.manual_seed(0)
    net, given = IncTSSDNet(), Distillation([load("cnn-mel"), load("cnn")], 128, 0.0)
    x = level(torch.stack([torch.from_numpy(voice(1.0, seed=n)) for n in range(4)]))
    taught = [*net.parameters(), *given.readings.parameters()]
    before = [w.clone() for w in given.nets.parameters()]
    optimiser = torch.optim.Adam(taught, lr=3e-3)
    target = torch.tensor([0.0, 1.0, 0.0, 1.0])
    missed = []
    for _ in range(30):
        wanted, opinion = given.teach(x)
        loss = given.frame_loss(net.frames(x), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        missed.append(float(loss.detach()))
    assert missed[-1] < 0.8 * missed[0]
    label = binary_cross_entropy_with_logits(net(x), (target + opinion) / 2)
    frames = given.frame_loss(net.frames(x), wanted)
    assert torch.allclose(given(net, x, target, x > 0), label + frames, rtol=1e-3)
    alone = [load(name) for name in ("cnn-mel", "cnn")]
    with torch.no_grad():
        told = sum(t.net(t.frontend(x)) for t in alone) / 2
    assert torch.allclose(opinion, told.sigmoid(), atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, given.nets.parameters(), strict=True))
    assert not given.nets[0].training


def test_a_killed_run_with_teachers_ends_with_the_same_weights(material, tmp_path):
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
        ({"architecture": "aasist"}, "only res-tssdnet and inc-tssdnet learn by distillation"),
        ({"architecture": "res-tssdnet-2d", "frontend": "", "frontend_options": {}}, "learn by"),
        ({"teachers": ("aasist",)}, "'aasist' is of the architecture aasist; only a cnn"),
    ],
)
def test_who_cannot_learn_or_teach_is_refused_before_anything_is_read(change, words):
    with pytest.raises(HearsayError, match=words):
        check(replace(TAUGHT, **change))


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(HearsayError, match="nobody"):
        check(replace(TAUGHT, teachers=("nobody",)))
