"""Self-supervised backbones in the loop: the frozen stays, what learns is saved, names resolve."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import backbones
import numpy as np
import pytest
import torch
from tiny_corpus import tiny_corpus

from corpora.audio import decode_all
from corpora.manifest import read_manifest
from detectors import Detector
from detectors.errors import HearsayError
from detectors.importers.huggingface import load_backbone
from training.__main__ import main
from training.augment import Augment
from training.check import check
from training.clips import Material
from training.initialise import detector_config
from training.loop import Trainer
from training.recipe import NetworkRecipe

CLEAN = Augment(*[0.0] * len(dataclasses.fields(Augment)))


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    corpus = tiny_corpus(tmp_path_factory.mktemp("tiny"), speakers=2, seconds=0.7)
    clips = read_manifest(corpus)
    train = [c for c in clips if c.split == "train"]
    dev = [c for c in clips if c.split == "dev"]
    return Material(*decode_all(train), *decode_all(dev))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("backbones")
    return {n: backbones.backbone(root / n, n) for n in ("wav2vec2", "wavlm", "whisper")}


def recipe(folder, **options) -> NetworkRecipe:
    return NetworkRecipe(
        name="ssl",
        architecture="ssl",
        options={"backbone": str(folder), **options},
        frontend="raw",
        window=8_000,
        epochs=1,
        pairs=4,
        batch=4,
        crop_s=(0.4, 0.5),
        lr=3e-3,
        bfloat16=False,  # bfloat16 is slow on a CPU without instructions for it
        augment=CLEAN,
    )


def start(config, material) -> Detector:
    """The detector before the first step."""
    torch.manual_seed(config.seed)
    detector = Detector(detector_config(config))
    load_backbone(detector.net, config.options["backbone"])
    return detector


@pytest.mark.parametrize(
    ("name", "head", "tuning"),
    [
        ("wav2vec2", "linear", "frozen"),
        ("wav2vec2", "mlp", "full"),
        ("wavlm", "aasist", "lora"),
        ("whisper", "mlp", "lora"),
    ],
)
def test_an_epoch_changes_what_it_may_and_ends_in_a_folder_of_its_own(
    name, head, tuning, material, folders, tmp_path
):
    config = recipe(folders[name], head=head, tuning=tuning)
    before = start(config, material).net.state_dict()
    detector = Trainer(config, material, tmp_path / "run.pt").run(lambda *_: None)

    after = detector.net.state_dict()
    assert after.keys() == before.keys()  # no adapters are left
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    inside = {key for key in changed if key.startswith("backbone.")}
    assert "layers" in changed and any(key.startswith("head.") for key in changed)
    if tuning == "frozen":
        assert not inside
    elif tuning == "lora":
        assert inside and all("_dense" in key or ".fc" in key for key in inside)
    else:
        assert len(inside) > 20

    detector.save(tmp_path / "saved")
    opened = Detector.open(tmp_path / "saved")
    x = torch.from_numpy(np.stack([a[:8_000] for a in material.held_audio]) / 32767.0).float()
    logits = opened.logits(x)
    assert logits.isfinite().all() and torch.equal(logits, detector.logits(x))
    assert str(folders[name]) not in opened.config.to_json()  # it needs the original no more


def test_a_frozen_backbone_is_held_and_saved_once(material, folders, tmp_path):
    trainer = Trainer(recipe(folders["wav2vec2"]), material, tmp_path / "run.pt")
    pairs = zip(trainer.net.named_parameters(), trainer.ema.parameters(), strict=True)
    shared = {name for (name, p), q in pairs if p.data_ptr() == q.data_ptr()}
    assert shared == {n for n, _ in trainer.net.named_parameters() if n.startswith("backbone.")}
    optimised = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    assert len(optimised) == 3  # layer weights, head's weight and bias


def test_a_stopped_lora_run_goes_on_to_the_same_weights(material, folders, tmp_path):
    config = replace(recipe(folders["wavlm"], tuning="lora"), epochs=2)
    whole = Trainer(config, material, tmp_path / "whole.pt").run(lambda *_: None)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(config, material, tmp_path / "stopped.pt").run(stop)
    torch.manual_seed(999)
    resumed = Trainer(config, material, tmp_path / "stopped.pt")
    assert resumed.epoch == 1
    again = resumed.run(lambda *_: None).net.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in whole.net.state_dict().items())


def test_a_whisper_reads_the_window_and_no_more(folders):
    options = detector_config(replace(recipe(folders["whisper"]), window=16_000)).options
    assert options["backbone"]["max_source_positions"] == 50
    assert options["features"]["samples"] == 16_000
    longer = detector_config(replace(recipe(folders["whisper"]), window=16_100)).options
    assert longer["features"]["samples"] == 16_320
    longest = detector_config(replace(recipe(folders["whisper"]), window=60 * 16_000)).options
    assert longest["backbone"]["max_source_positions"] == 1500


def test_other_architectures_may_call_an_option_backbone():
    config = replace(recipe("anything"), architecture="cnn")
    assert detector_config(config).options == {"backbone": "anything"}


def test_a_backbone_that_is_not_there_is_refused_before_anything_is_read(tmp_path, capsys):
    with pytest.raises(HearsayError, match="neither a folder nor the name of a hub model"):
        check(recipe("/no/such/folder"))
    (tmp_path / "ssl.yaml").write_text(
        f"name: ssl\narchitecture: ssl\nfrontend: raw\noptions: {{backbone: {tmp_path}}}\n"
    )
    arguments = ["--manifest", "none.csv", "--out", str(tmp_path / "out")]
    code = main(["train", str(tmp_path / "ssl.yaml"), *arguments])
    assert code == 2 and "config.json is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pickled_weights_are_refused(folders, tmp_path):
    (tmp_path / "config.json").write_text((folders["wavlm"] / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(HearsayError, match="pickled weights are not read"):
        check(recipe(tmp_path))
