"""The loop: learns, goes on after a kill as if nothing had happened, and saves a detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_corpus import tiny_corpus

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors.errors import HearsayError
from training import loop
from training.clips import Material
from training.loop import Trainer
from training.losses import PartialSpoof
from training.recipe import NetworkRecipe


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    clips = read_manifest(tiny_corpus(tmp_path_factory.mktemp("tiny")))
    train = [c for c in clips if c.split == "train"]
    dev = [c for c in clips if c.split == "dev"]
    return Material(*decode_all(train), *decode_all(dev))


SMALL = NetworkRecipe(
    name="small",
    architecture="cnn",
    options={"channels": [4, 8], "embedding": 8},
    window=16_000,
    epochs=3,
    pairs=24,
    batch=8,
    crop_s=(0.8, 1.0),
    lr=3e-3,
    save_every=2,
)


class Killed(Exception):
    pass


def weights(detector):
    return {k: v.clone() for k, v in detector.net.state_dict().items()}


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(material, tmp_path, monkeypatch):
    unbroken = Trainer(SMALL, material, tmp_path / "whole.pt")
    whole = weights(unbroken.run(lambda *_: None))

    trainer = Trainer(SMALL, material, tmp_path / "killed.pt")
    step, seen = trainer._batch, []

    def fatal(*batch):
        seen.append(1)
        if len(seen) == 10:  # in the middle of the second epoch, past a checkpoint
            raise Killed
        return step(*batch)

    monkeypatch.setattr(trainer, "_batch", fatal)
    with pytest.raises(Killed):
        trainer.run(lambda *_: None)
    torch.manual_seed(999)
    resumed = Trainer(SMALL, material, tmp_path / "killed.pt")
    assert (resumed.epoch, resumed.step) == (1, 2)
    again = weights(resumed.run(lambda *_: None))
    assert all(torch.equal(whole[k], again[k]) for k in whole)
    last, now = unbroken.net.state_dict(), resumed.net.state_dict()  # after the best epoch, too
    assert all(torch.equal(last[k], now[k]) for k in last)


def test_the_generators_of_gpus_go_on_too(material, tmp_path, monkeypatch):
    state, given = torch.arange(16, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [state])
    Trainer(SMALL, material, tmp_path / "run.pt").save()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.extend)
    Trainer(SMALL, material, tmp_path / "run.pt")
    assert len(given) == 1 and torch.equal(given[0], state)


def test_it_learns_an_obvious_fake(material, tmp_path):
    seen = []
    config = replace(SMALL, epochs=8, label_smoothing=0.0)
    Trainer(config, material, tmp_path / "run.pt").run(lambda e, v: seen.append(v))
    assert seen[-1]["loss"] < 0.8 * seen[0]["loss"]
    assert max(v["held_auc"] for v in seen) > 0.9


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("cnn", {"channels": [4, 8], "embedding": 8, "dropout": 0.0}),
     ("resnet", {"width": 4, "dropout": 0.0})],
)  # fmt: skip
def test_frames_learn_which_seconds_are_synthetic(architecture, options, material, tmp_path):
    config = replace(
        SMALL,
        architecture=architecture,
        options=options,
        partial_spoof_weight=1.0,
        epochs=10,
        bfloat16=False,
    )
    trainer = Trainer(config, material, tmp_path / "run.pt")
    rng = np.random.default_rng(0)
    x = 0.1 * torch.from_numpy(rng.standard_normal((8, 16_000)).astype(np.float32))
    where = torch.zeros(8, 16_000, dtype=torch.bool)
    where[4:, 8_000:] = True
    t = torch.arange(16_000) / 16_000
    x += where * 0.2 * torch.sin(2 * torch.pi * 3000 * t)
    for _ in range(60):
        trainer._batch(x, where.any(1).float(), where)
    net, judge = trainer.net.eval(), PartialSpoof(1.0, smoothing=0.0).judge
    with torch.no_grad():
        spectrogram = trainer.frontend(trainer.detector.level(x))
        whole, _, missed = judge(net, spectrogram, where.any(1), where)
        elsewhere = judge(net, spectrogram, where.any(1), where.flip(1))[2]
        moments = net.out(net.pool.alone(net.frames(spectrogram)))[..., 0]
    quarter = moments.shape[1] // 4
    assert moments[4:, -quarter:].min() > max(moments[:4].max(), moments[4:, :quarter].max())
    assert missed < 0.3 < 1 < elsewhere
    assert torch.equal(whole, net(spectrogram))


def test_it_stops_when_dev_no_longer_improves(material, tmp_path):
    seen = []
    config = replace(SMALL, lr=1e-12, epochs=9, patience=2)
    Trainer(config, material, tmp_path / "run.pt").run(lambda e, v: seen.append(e))
    assert len(seen) < 9


@pytest.mark.parametrize("architecture", ["resnet", "aasist"])
def test_every_architecture_takes_an_epoch(architecture, material, tmp_path):
    options = {"resnet": {"width": 4}, "aasist": {"channels": [4, 8], "graph": [8, 8]}}
    frontend = "raw" if architecture == "aasist" else "log-mel"
    config = replace(
        SMALL,
        architecture=architecture,
        options=options[architecture],
        frontend=frontend,
        epochs=1,
        pairs=8,
    )
    detector = Trainer(config, material, tmp_path / "run.pt").run(lambda *_: None)
    x = torch.from_numpy(np.stack([a[:16_000] for a in material.held_audio]) / 32767.0).float()
    logits = detector.logits(x)
    assert logits.isfinite().all()
    assert not logits.requires_grad


def test_it_starts_from_the_weights_of_a_detector(material, tmp_path):
    Trainer(SMALL, material, tmp_path / "one.pt").detector.save(tmp_path / "one")
    init = str(tmp_path / "one/weights.safetensors")
    config = replace(SMALL, seed=9, init=init)
    again = Trainer(config, material, tmp_path / "again.pt").detector
    first = Trainer(SMALL, material, tmp_path / "fresh.pt").detector
    assert all(torch.equal(w, weights(again)[k]) for k, w in weights(first).items())
    wider = replace(config, options={"channels": [4, 12], "embedding": 8})
    with pytest.raises(HearsayError, match="Training cannot start from"):
        Trainer(wider, material, tmp_path / "wider.pt")
    (tmp_path / "one/weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(HearsayError, match="Training cannot start from"):
        Trainer(config, material, tmp_path / "broken.pt")


def test_a_share_of_the_first_weights_is_kept(material, tmp_path):
    Trainer(SMALL, material, tmp_path / "one.pt").detector.save(tmp_path / "one")
    config = replace(SMALL, init=str(tmp_path / "one/weights.safetensors"), epochs=1)
    ends = {}
    for share in (0.0, 0.25, 1.0):
        trainer = Trainer(replace(config, interpolate=share), material, tmp_path / f"{share}.pt")
        first = weights(trainer.detector)
        ends[share] = weights(trainer.run(lambda *_: None))
    moved = 0
    for name, value in first.items():
        assert torch.allclose(ends[1.0][name].float(), value.float(), atol=1e-6) or (
            not value.is_floating_point()  # a count of batches
        )
        if value.is_floating_point():
            between = ends[0.0][name].lerp(value, 0.25)
            assert torch.allclose(ends[0.25][name], between, atol=1e-6)
            moved += not torch.equal(ends[0.0][name], value)
    assert moved > 5


def test_bfloat16_is_used_only_where_the_processor_has_it(material, tmp_path, monkeypatch):
    used = []
    autocast = torch.autocast

    def watched(*given, **named):
        used.append(named["enabled"])
        return autocast(*given, **{**named, "enabled": False})

    monkeypatch.setattr(torch, "autocast", watched)
    for has in (True, False):
        monkeypatch.setattr(loop, "_has_bfloat16", lambda device, has=has: has)
        trainer = Trainer(SMALL, material, tmp_path / f"{has}.pt")
        used.clear()
        y = torch.tensor([0.0, 1.0, 0.0, 1.0])
        trainer._batch(torch.randn(4, 16_000), y, y[:, None].bool().expand(4, 16_000))
        assert used[0] is has
