"""Audio classifiers as they stand: the model's own logits, labels asked for, no pickles."""

from __future__ import annotations

import json

import backbones
import numpy as np
import pytest
import torch
from toys import waveform
from voice import voice

from detectors import Detector, HearsayError, load
from detectors.__main__ import main
from detectors.importers.huggingface import fetch, import_hub
from explain import explain

LABELS = ("bonafide", "tts", "vc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "model"
    backbones.classifier(folder, labels=LABELS)
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["import", "--as", "hub", *(str(a) for a in arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", backbones.SPEECH)
def test_the_logit_is_the_difference_of_the_models_own(name, tmp_path):
    model = backbones.classifier(tmp_path, name)
    # a little noise: the logarithm of an empty band says how a processor rounds, and nothing else
    noise = 1e-3 * np.random.default_rng(0).standard_normal((3, 16_000), dtype=np.float32)
    x = noise + np.stack([voice(1.0, seed) for seed in range(3)])
    original = backbones.extractor(model.config.model_type)
    with torch.no_grad():
        classes = model(**original([*x], sampling_rate=16_000, return_tensors="pt")).logits
    detector = import_hub(str(tmp_path), "hub", ["fake"])
    ours = detector.logits(torch.from_numpy(x))
    theirs = classes[:, 0] - classes[:, 1]
    assert theirs.std() > 1e-3
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_several_labels_are_joined_as_probabilities_are(folder):
    x = torch.from_numpy(voice(1.0))[None]
    detector = import_hub(str(folder), "hub", ["tts", "vc"])
    real, tts, vc = detector.net.model(detector.net.extract(x)).logits.softmax(dim=-1)[0]
    odds = (tts + vc) / real
    assert detector.logits(x).item() == pytest.approx(odds.log().item(), abs=1e-5)
    one = import_hub(str(folder), "hub", ["vc"], ["bonafide"])
    assert one.logits(x).item() == pytest.approx((vc / real).log().item(), abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "fake", "real"),
    [
        ({"1": "fake", "0": "real"}, [1], [0]),
        ({"2": "fake", "0": "fake", "1": "real"}, [0, 2], [1]),
        ({"0": "fake", "1": "real", "2": "real"}, [0], [1, 2]),
    ],
)
def test_a_class_is_what_the_config_numbers_it(labels, fake, real, tmp_path):
    backbones.classifier(tmp_path, labels=LABELS[: len(labels)])
    config = json.loads((tmp_path / "config.json").read_text())
    del config["label2id"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": labels}))
    detector = import_hub(str(tmp_path), "hub", ["fake"])
    assert (detector.config.options["fake"], detector.config.options["real"]) == (fake, real)


@pytest.mark.parametrize(
    ("fake", "real"),
    [([], []), (["deepfake"], []), (["tts"], ["human"]), (["tts"], ["tts"]), (LABELS, [])],
)
def test_without_a_clear_mapping_the_labels_are_listed(fake, real, folder):
    with pytest.raises(HearsayError, match="are bonafide, tts, vc"):
        import_hub(str(folder), "hub", fake, real)


def test_the_command_asks_for_the_mapping_and_registers_nothing(folder, tmp_path, capsys):
    code, out, err = run(capsys, folder, "--name", "hub", "--out", tmp_path / "out")
    assert code == 2 and not out
    assert "bonafide, tts, vc" in err and "--fake-label" in err
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_folder_that_opens_and_explains_itself(folder, tmp_path, capsys):
    labels = ["--fake-label", "tts", "vc", "--real-label", "bonafide"]
    code, _, _ = run(capsys, folder, "--name", "hub", "--out", tmp_path / "out", *labels)
    assert code == 0
    opened = load(tmp_path / "out")
    wave = waveform(voice(1.0))
    assert opened.score(wave).llr == import_hub(str(folder), "hub", ["tts", "vc"]).score(wave).llr
    found = explain(opened, wave, "shapley-time", players=3)
    assert found.residual < 1e-5 and np.abs(found.values).max() > 0


def test_pickled_weights_are_refused_unread(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"whatever this holds, nobody looks")
    with pytest.raises(HearsayError, match="pickled weights are not read"):
        import_hub(str(tmp_path), "hub", ["tts"])


def test_a_backbone_without_classifier_is_refused(tmp_path):
    backbones.backbone(tmp_path)
    with pytest.raises(HearsayError, match=r"weights are missing \(classifier"):
        import_hub(str(tmp_path), "hub", ["LABEL_1"])


def test_a_size_that_is_no_number_is_refused(folder, tmp_path):
    backbones.classifier(tmp_path, labels=LABELS)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": "abc"}))
    with pytest.raises(HearsayError, match="holds no speech model that can be read"):
        import_hub(str(tmp_path), "hub", ["tts"])


def test_the_card_names_the_model_in_full(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    options = ["--name", "hub", "--out", tmp_path / "out", "--fake-label", "tts", "vc"]
    assert run(capsys, "owner/model@refs/pr/3", *options)[0] == 0
    assert "Imported from owner/model@refs/pr/3;" in (tmp_path / "out/card.md").read_text()


def test_damaged_weights_are_refused(folder, tmp_path):
    backbones.classifier(tmp_path, labels=LABELS)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(HearsayError, match="cannot be read"):
        import_hub(str(tmp_path), "hub", ["tts"])


@pytest.mark.parametrize(
    "change", [{"sampling_rate": 8000}, {"feature_extractor_type": "EncodecFeatureExtractor"}]
)
def test_sound_that_cannot_be_prepared_alike_is_refused(change, tmp_path):
    backbones.classifier(tmp_path, labels=LABELS)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(HearsayError, match=r"8000 Hz|not known here"):
        import_hub(str(tmp_path), "hub", ["tts"])


def test_a_model_that_brings_its_own_code_is_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    planted = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config | planted))
    (tmp_path / "evil.py").write_text("raise AssertionError('this ran')")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(HearsayError, match="holds no speech model that can be read"):
        import_hub(str(tmp_path), "hub", ["tts"])


def test_only_data_is_fetched_from_the_hub(folder, monkeypatch):
    asked = []

    def snapshot(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert fetch("somebody/model@refs/pr/3") == folder
    assert fetch("somebody/model") == folder
    assert asked == [
        ("somebody/model", "refs/pr/3", ["*.json", "*.safetensors"]),
        ("somebody/model", None, ["*.json", "*.safetensors"]),
    ]


def test_what_cannot_be_reached_is_a_sentence(monkeypatch):
    from httpx import ConnectError

    def fail(*_, **__):
        raise ConnectError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(HearsayError, match="no such hub model can be reached: no route"):
        fetch("somebody/model")
    monkeypatch.undo()
    with pytest.raises(HearsayError, match="neither a folder nor the name of a hub model"):
        fetch("/no/such/folder")


def test_a_folder_with_labels_out_of_range_is_refused(folder, tmp_path):
    detector = import_hub(str(folder), "hub", ["tts"])
    detector.config.options["fake"] = [7]
    detector.save(tmp_path / "out")
    with pytest.raises(HearsayError, match="classes"):
        Detector.open(tmp_path / "out")


def test_labels_are_refused_for_what_has_none(capsys, tmp_path):
    code = main(["import", "--as", "aasist", str(tmp_path / "a.pth"), "--name", "a",
                 "--fake-label", "fake"])  # fmt: skip
    assert code == 2 and "--as hub alone" in capsys.readouterr().err
