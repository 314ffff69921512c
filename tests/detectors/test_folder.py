"""Detector folders: what a fusion's holds, and those that were written before it held members."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import fused, waveform
from voice import voice

from detectors import BUNDLED, Config, Detector, HearsayError, load, registry
from detectors.folder import copy_folder, files_of, rewrite_figures

SMALL = {"channels": [4, 6], "embedding": 8}


@pytest.fixture
def fusion() -> Detector:
    torch.manual_seed(0)
    mel = Detector(Config("mel", "cnn", SMALL, window=16_000))
    linear = {**SMALL, "bands": 160}
    return fused(mel, Detector(Config("spec", "cnn", linear, "log-spec", window=16_000)))


def test_a_fusion_is_saved_with_its_members_and_opens_unchanged(fusion, tmp_path):
    fusion.save(tmp_path / "both", "# both\n")
    assert {*files_of(tmp_path / "both")} == {
        "config.json", "weights.safetensors",
        "members/mel/config.json", "members/mel/weights.safetensors",
        "members/spec/config.json", "members/spec/weights.safetensors",
    }  # fmt: skip
    assert {*load_file(tmp_path / "both/weights.safetensors")} == {"weight", "bias"}
    wave, again = waveform(voice(1.3)), load(tmp_path / "both")
    assert again.digest == fusion.digest
    assert again.score(wave) == fusion.score(wave)


def test_a_member_that_was_exchanged_is_refused(fusion, tmp_path):
    fusion.save(tmp_path / "both")
    other = Detector(Config("mel", "cnn", SMALL, window=16_000))
    other.save(tmp_path / "both/members/mel")
    with pytest.raises(HearsayError, match="'mel' is not the detector that it was fitted on"):
        load(tmp_path / "both")


def test_a_member_that_is_absent_is_named(fusion, tmp_path):
    fusion.save(tmp_path / "both")
    (tmp_path / "both/members/spec/weights.safetensors").unlink()
    with pytest.raises(HearsayError, match=r"spec holds no detector: weights\.safetensors"):
        load(tmp_path / "both")


@pytest.mark.parametrize("name", ["../mel", "a/b", ".mel", ""])
def test_a_member_name_leads_nowhere_else(fusion, tmp_path, name):
    fusion.save(tmp_path / "both")
    config = json.loads((tmp_path / "both/config.json").read_text())
    config["options"]["members"][0]["name"] = name
    (tmp_path / "both/config.json").write_text(json.dumps(config))
    with pytest.raises(HearsayError, match="cannot name a member"):
        load(tmp_path / "both")


def save_in_one_file(fusion: Detector, folder: Path, names=("mel", "spec")) -> None:
    """The folder of a fusion as it was written before members had folders of their own."""
    keys = ("architecture", "options", "frontend", "frontend_options")
    weights, members = dict(fusion.net.state_dict()), []
    for n, member in enumerate(fusion.members):
        members.append({"name": names[n]} | {key: getattr(member.config, key) for key in keys})
        weights |= {f"nets.{n}.{k}": v.contiguous() for k, v in member.net.state_dict().items()}
    config = json.loads(fusion.config.to_json())
    config["options"] = {"members": members}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "weights.safetensors")


def test_a_fusion_in_one_file_still_opens(fusion, tmp_path):
    save_in_one_file(fusion, tmp_path / "one")
    wave = waveform(voice(1.3))
    opened = load(tmp_path / "one")
    assert opened.score(wave) == fusion.score(wave)
    opened.save(tmp_path / "new")
    assert load(tmp_path / "new").digest == fusion.digest


def test_the_bundled_fusion_holds_no_copies(tmp_path):
    bundled = load("fusion")
    own = {path for name, path in files_of(BUNDLED / "fusion").items() if "/" not in name}
    assert sum(path.stat().st_size for path in own) < 20_000
    copy_folder(BUNDLED / "fusion", tmp_path / "whole")
    assert (tmp_path / "whole/members/whisper/weights.safetensors").is_file()
    assert load(tmp_path / "whole").digest == bundled.digest
    assert registry.checksums(tmp_path / "whole") == registry.checksums(BUNDLED / "fusion")


def test_figures_are_rewritten_without_the_weights(fusion, tmp_path):
    fusion.save(tmp_path / "both")
    before = registry.checksums(tmp_path / "both")
    rewrite_figures(tmp_path / "both", fusion.config.figures, "# anew\n")
    assert registry.checksums(tmp_path / "both") == before
    assert (tmp_path / "both/card.md").read_text() == "# anew\n"


def test_figures_are_rewritten_in_one_file_as_well(fusion, tmp_path):
    save_in_one_file(fusion, tmp_path / "one")
    figures, before = {"test": {"eer": 0.25}}, load(tmp_path / "one")
    rewrite_figures(tmp_path / "one", figures, "# anew\n")
    again = load(tmp_path / "one")
    assert again.digest == before.digest and again.config.figures == figures


@pytest.mark.parametrize(
    ("names", "folders"),
    [(("a", "a"), {"a-1", "a-2"}), (("my net", "../b"), {"my-net", "b"}), (("", "."), None)],
)
def test_members_in_one_file_get_folders_whatever_they_are_called(fusion, tmp_path, names, folders):
    save_in_one_file(fusion, tmp_path / "one", names)
    opened = load(tmp_path / "one")
    opened.save(tmp_path / "new")
    assert load(tmp_path / "new").digest == opened.digest
    written = {path.name for path in (tmp_path / "new/members").iterdir()}
    assert written == (folders or {"member-1", "member-2"})


def test_saving_leaves_alone_what_only_looks_like_members(fusion, tmp_path):
    photo = tmp_path / "club/members/ann/photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_text("mine")
    with pytest.raises(HearsayError, match="other things than a detector"):
        fusion.save(tmp_path / "club")
    assert photo.read_text() == "mine"
