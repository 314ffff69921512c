"""Fusion: a logistic regression over detectors, fitted on held-out clips and cross-fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stores import use_store
from tiny_corpus import tiny_corpus
from toys import waveform
from voice import voice

from detectors import Config, Detector, load, read
from training.__main__ import main

SMALL = {"channels": [4, 8], "embedding": 8}
RECIPE = "name: both\narchitecture: fusion\nmembers: [{members}]\n"


def member(seed: int, **changes) -> Detector:
    torch.manual_seed(seed)
    return Detector(Config(f"m{seed}", "cnn", options=SMALL, window=16_000, **changes))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two members in folders, fused by the command."""
    folder = tmp_path_factory.mktemp("fusion")
    manifest = tiny_corpus(folder / "corpus", speakers=6)
    for seed in (1, 2):
        member(seed).save(folder / f"m{seed}", f'## Recipe\n\n{{\n "credit": "team {seed}",\n}}\n')
    members = f"{folder}/m1, {folder}/m2"
    (folder / "both.yaml").write_text(RECIPE.format(members=members))
    with pytest.MonkeyPatch.context() as patch:
        use_store(folder, patch)
        patch.chdir(folder)
        patch.setenv("HEARSAY_MANIFEST", str(manifest))
        assert main(["--threads", "1", "train", "both.yaml"]) == 0
        yield folder


def test_a_fusion_is_the_weighted_sum_of_its_members(place):
    fusion = load(str(place / "runs/both/detector"))
    assert [m.config.name for m in fusion.members] == ["m1", "m2"]
    x = torch.from_numpy(np.stack([voice(1.0, seed=s) for s in (1, 2)]))
    alone = torch.stack([member(seed).logits(x) for seed in (1, 2)], dim=1)
    expected = alone @ fusion.net.weight + fusion.net.bias
    assert torch.allclose(fusion.logits(x), expected, atol=1e-5)
    assert torch.allclose(fusion.logits(x[:1]), expected[:1], atol=1e-5)


def test_the_folder_holds_all_of_it(place):
    folder = place / "runs/both/detector"
    raw = json.loads((folder / "config.json").read_text())
    assert [m["name"] for m in raw["options"]["members"]] == ["m1", "m2"]
    wave = read(voice_file(place))
    assert load(str(folder)).score(wave).llr == load(str(folder)).score(wave).llr


def test_every_member_has_a_share_and_the_shares_add_up(place):
    figures = load(str(place / "runs/both/detector")).config.figures["dev"]
    shares = figures["members"]
    assert set(shares) == {"m1", "m2"}
    assert sum(row["share"] for row in shares.values()) == pytest.approx(1)
    assert all(0 <= row["alone"] <= 1 and 0 <= row["eer_without"] <= 1 for row in shares.values())
    card = (place / "runs/both/detector/card.md").read_text()
    assert "| m1 |" in card and "Fitted on the 12 clips of dev" in card
    assert "Weights: its members started from team 1; team 2." in card


def test_its_figures_on_dev_stay_the_cross_fitted_ones(place, capsys):
    folder = str(place / "runs/both/detector")
    before = load(folder).config.figures
    dev = ["evaluate", "--manifest", str(place / "corpus/manifest.csv"), "--split", "dev"]
    assert main([*dev, "--models", folder, "--json", "dev.json"]) == 0
    assert main(["card", folder, "--evaluation", "dev.json"]) == 2
    assert "was fitted on dev" in capsys.readouterr().err
    assert load(folder).config.figures == before


def test_a_fusion_does_not_hear_the_gain(place):
    fusion = load(str(place / "runs/both/detector"))
    x = 0.1 * voice(1.5)
    loud, soft = (fusion.score(waveform(gain * x)).llr for gain in (3.0, 0.05))
    assert loud == pytest.approx(soft, abs=1e-3)


def test_windows_of_different_lengths_are_refused(place, capsys):
    member(3).save(place / "short")
    other = Detector(Config("long", "cnn", options=SMALL, window=32_000))
    other.save(place / "long")
    members = f"{place}/short, {place}/long"
    recipe = RECIPE.format(members=members)
    (place / "uneven.yaml").write_text(recipe)
    capsys.readouterr()
    assert main(["train", str(place / "uneven.yaml")]) == 2
    assert "16000, 32000 samples" in capsys.readouterr().err


@pytest.mark.parametrize(("voices", "code"), [("dev0", 2), (None, 0)])
def test_dev_of_one_source_is_judged_by_speaker_or_refused(place, capsys, voices, code):
    text = (place / "corpus/manifest.csv").read_text()
    for n in range(6):
        text = text.replace(f"dev{n},studio-dev{n}", f"{voices or f'dev{n}'},studio-dev")
    one = place / "corpus/one.csv"
    one.write_text(text)
    capsys.readouterr()
    out = str(place / f"runs/{voices}")
    assert main(["train", str(place / "both.yaml"), "--manifest", str(one), "--out", out]) == code
    said = capsys.readouterr().err
    if code:
        assert "both labels are needed in two sources or speakers" in said
        assert not Path(out).exists()  # that is, before anything is scored


def test_a_fusion_without_members_is_refused(place, capsys):
    recipe = RECIPE.format(members="")
    (place / "none.yaml").write_text(recipe)
    capsys.readouterr()
    assert main(["train", str(place / "none.yaml")]) == 2
    assert "needs members" in capsys.readouterr().err


def voice_file(folder):
    return next((folder / "corpus").glob("test0-bonafide.flac"))
