"""Self-supervised detectors: features as published, any backbone, any head, whole folders."""

from __future__ import annotations

import socket
import subprocess
import sys

import backbones
import numpy as np
import pytest
import torch
from toys import waveform
from voice import voice

from detectors import Config, Detector
from detectors.detector import check_weights
from detectors.importers.huggingface import backbone_options, load_backbone
from detectors.models.extractors import KINDS, extractor
from detectors.models.ssl import HEADS
from explain import explain, methods

WINDOW = 16_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Random models of every kind, as they lie on disk."""
    root = tmp_path_factory.mktemp("backbones")
    return {name: backbones.backbone(root / name, name) for name in backbones.SPEECH}


def detector(folder, **options) -> Detector:
    torch.manual_seed(1)
    options |= backbone_options(str(folder), WINDOW)
    made = Detector(Config("ssl", "ssl", options, frontend="raw", window=WINDOW))
    load_backbone(made.net, str(folder))
    return made


def voices(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.stack([voice(1.0, seed) for seed in range(count)]))


@pytest.mark.parametrize("name", backbones.SPEECH)
def test_the_features_are_those_of_the_published_extractor(name, folders):
    x = 0.01 + 0.3 * voices()
    original = backbones.extractor(backbones.SPEECH[name][0])
    options = backbone_options(str(folders[name]), WINDOW)
    length = {"max_length": WINDOW, "padding": "max_length"} if name == "whisper" else {}
    theirs = original([*x.numpy()], sampling_rate=WINDOW, return_tensors="pt", **length)
    ours = extractor(options["features"])(x)
    theirs = theirs[original.model_input_names[0]]
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=2e-3 if "bert" in name else 1e-4)


@pytest.mark.parametrize("name", backbones.SPEECH)
def test_every_backbone_answers_with_a_logit_that_its_batch_does_not_change(name, folders):
    made = detector(folders[name])
    x = voices()
    together = made.logits(x)
    assert together.shape == (3,)
    assert together.std() > 1e-3  # so that equality below says something
    alone = torch.cat([made.logits(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", backbones.SPEECH)
def test_gradients_reach_every_part_of_the_waveform(name, folders):
    x = voices(1).requires_grad_()
    detector(folders[name]).logits(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert (x.grad.reshape(10, -1).abs().amax(dim=1) > 0).all()


def test_the_backbone_is_the_pretrained_one_layer_by_layer(folders):
    from transformers import AutoModel

    made = detector(folders["xls-r"])
    original = AutoModel.from_pretrained(folders["xls-r"]).eval()
    x = made.net.extract(voices())
    with torch.no_grad():
        ours = made.net.backbone(x, output_hidden_states=True).hidden_states
        theirs = original(x, output_hidden_states=True).hidden_states
    assert len(ours) == len(made.net.layers) == 3
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_whisper_is_cut_to_the_window_and_otherwise_the_pretrained_one(folders):
    from transformers import AutoModel

    made = detector(folders["whisper"])
    assert made.net.extract(voices()).shape == (3, 80, 100)  # one second, not thirty
    whole = AutoModel.from_pretrained(folders["whisper"]).get_encoder()
    assert len(made.net.backbone.embed_positions.weight) == 50
    assert torch.equal(made.net.backbone.embed_positions.weight, whole.embed_positions.weight[:50])
    assert torch.equal(made.net.backbone.layers[1].fc1.weight, whole.layers[1].fc1.weight)


@pytest.mark.parametrize("head", HEADS)
def test_a_folder_opens_without_network_or_pretrained_model(head, folders, tmp_path, monkeypatch):
    made = detector(folders["wavlm"], head=head)
    made.save(tmp_path / "saved")

    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    opened = Detector.open(tmp_path / "saved")
    assert opened.config == made.config
    assert torch.equal(opened.logits(voices()), made.logits(voices()))


def test_a_large_layer_weight_chooses_its_layer(folders):
    made = detector(folders["hubert"])
    made.net.layers[1] = 50.0
    features = made.net.extract(made.level(voices()))
    hidden = made.net.backbone(features, output_hidden_states=True).hidden_states[1]
    mean = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:]).mean(dim=1)
    assert torch.allclose(made.logits(voices()), made.net.head.out(mean)[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", backbones.SPEECH)
@pytest.mark.parametrize("decibel", [-30, 10])
def test_gain_changes_nothing(name, decibel, folders):
    made = detector(folders[name])
    x = voices()
    assert torch.allclose(made.logits(x), made.logits(x * 10 ** (decibel / 20)), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"head": "crown"}, "head is one of linear, mlp, aasist"),
        ({"tuning": "none"}, "tuning is one of frozen, lora, full"),
        ({"backbone": "facebook/wav2vec2-base"}, "names a model"),
        ({"backbone": {"model_type": "timm_wrapper"}}, "no type of speech model"),
        ({"backbone": {"model_type": "wav2vec2", "hidden_size": "x"}}, "hidden_size"),
        ({"backbone": {"model_type": "wav2vec2", "hidden_size": 15}}, "cannot be|built|divisible"),
        ({"features": {"kind": "smell"}}, "There is no extractor 'smell'"),
        ({"features": {"kind": "samples", "gain": 2}}, "does not take these options"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(changes, sentence, folders):
    options = backbone_options(str(folders["wav2vec2"]), WINDOW) | changes
    with pytest.raises(ValueError, match=sentence):
        Detector(Config("ssl", "ssl", options, frontend="raw", window=WINDOW))


def test_a_config_cannot_name_code_or_kernels(folders, tmp_path):
    options = backbone_options(str(folders["wav2vec2"]), WINDOW)
    planted = {
        "auto_map": {"AutoModel": "evil--modeling.Evil"},
        "attn_implementation": "evil/kernel",
        "_attn_implementation": "evil/kernel",
        "dtype": "float16",
    }
    options["backbone"] |= planted
    made = Detector(Config("ssl", "ssl", options, frontend="raw", window=WINDOW))
    assert type(made.net.backbone).__module__.startswith("transformers.models.wav2vec2")
    assert made.net.backbone.config._attn_implementation in ("eager", "sdpa")
    assert {p.dtype for p in made.net.parameters()} == {torch.float32}


def test_merged_adapters_leave_the_same_function_without_adapters(folders):
    made = detector(folders["wavlm"], tuning="lora", rank=2)
    plain = made.logits(voices())
    keys = made.net.state_dict().keys()
    made.net.tune()
    assert torch.allclose(made.logits(voices()), plain, atol=1e-6)  # adapters begin as nothing
    with torch.no_grad():
        for name, weight in made.net.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3)
    tuned = made.logits(voices()).detach()
    assert not torch.allclose(tuned, plain, atol=1e-3)
    made.net.merge()
    assert made.net.state_dict().keys() == keys
    assert torch.allclose(made.logits(voices()), tuned, atol=1e-5)
    check_weights(detector(folders["wavlm"]).net, made.net.state_dict())


@pytest.mark.parametrize(("tuning", "rank"), [("frozen", 8), ("lora", 4), ("full", 8)])
def test_tuning_says_what_learns(tuning, rank, folders):
    net = detector(folders["wav2vec2"], tuning=tuning, rank=rank).net
    net.tune()
    net.train()
    net(voices()).sum().backward()
    learns = {name for name, p in net.named_parameters() if p.requires_grad}
    moved = {name for name, p in net.named_parameters() if p.grad is not None}
    inside = {name for name in learns if name.startswith("backbone.")}
    assert {"layers", "head.out.weight", "head.out.bias"} <= learns
    if tuning == "frozen":
        assert not inside and not net.backbone.training
    elif tuning == "lora":
        assert inside and all("lora_" in name for name in inside)
        assert all(p.shape[0] == rank for n, p in net.named_parameters() if "lora_A" in n)
    else:
        assert len(inside) == len(list(net.backbone.parameters())) and net.backbone.training
    assert learns - moved <= {"backbone.masked_spec_embed"}


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "whisper"])
def test_shapley_values_of_time_add_up(name, folders):
    made = detector(folders[name])
    found = explain(made, waveform(voice(1.5)), "shapley-time", players=4)
    assert found.residual < 1e-5
    assert abs(found.full - found.empty) > 1e-4
    assert np.abs(found.values).max() > 0
    assert found.values.sum() == pytest.approx(found.full - found.empty, abs=1e-5)


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "whisper"])
def test_integrated_gradients_reach_the_spectrogram(name, folders):
    made = detector(folders[name])
    found = explain(made, waveform(voice(1.0)), "integrated-gradients", steps=8)
    assert np.isfinite(found.values).all()
    assert (np.abs(found.values).max(axis=0) > 0).mean() > 0.9


@pytest.mark.parametrize("name", backbones.SPEECH)
def test_the_methods_that_look_inside_a_network_are_refused_and_the_others_work(name, folders):
    made = detector(folders[name])
    valid = set(methods(made))
    assert valid >= {"shapley-time", "occlusion", "integrated-gradients", "saliency"}
    assert not valid & {"gradcam", "deeplift"}
    for method in ("occlusion", "saliency"):
        found = explain(made, waveform(voice(1.0)), method)
        assert np.isfinite(found.values).all() and np.abs(found.values).max() > 0


def test_the_program_starts_without_transformers():
    code = "import sys, detectors.importers.huggingface; print('transformers' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_without_the_extra_it_says_what_to_install(folders, monkeypatch):
    options = backbone_options(str(folders["wav2vec2"]), WINDOW)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"uv pip install -e '.\[ssl\]'"):
        Detector(Config("ssl", "ssl", options, frontend="raw", window=WINDOW))


def test_every_extractor_is_tried_above(folders):
    kinds = [backbone_options(str(f), WINDOW)["features"]["kind"] for f in folders.values()]
    assert set(kinds) == set(KINDS)
