"""python -m explain clip: what is printed, what is written, and how it fails."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch
from stores import use_store
from voice import voice

from detectors import Config, Detector, load, read, registry
from detectors.config import Calibration
from explain import Explanation
from explain.__main__ import main
from explain.hit_rates import default_method


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a small detector, a picture-less one, and recordings."""
    folder = tmp_path_factory.mktemp("explain")
    torch.manual_seed(0)
    Detector(Config("small", "cnn", {"channels": (4, 4)}, window=32_000)).save(folder / "small")
    soundfile.write(folder / "clip.wav", voice(2.0), 16_000)
    soundfile.write(folder / "long.flac", voice(5.0), 16_000)
    (folder / "broken.wav").write_bytes(b"RIFF of nothing")
    return folder


def run(here, *arguments) -> int:
    return main(["clip", *(str(a) for a in arguments), "--detector", str(here / "small")])


def test_a_summary_is_printed(here, capsys):
    assert run(here, here / "clip.wav", "--players", 4) == 0
    said = capsys.readouterr().out
    assert said.startswith("shapley-time on small, LLR ")
    assert said.count("towards") == 3
    assert "residual" in said and "forwards" in said and "MB" in said


def test_a_long_clip_says_which_part_is_explained(here, capsys):
    assert run(here, here / "long.flac", "--players", 2) == 0
    assert "Explained is" in capsys.readouterr().out


@pytest.mark.parametrize(
    "method", ["shapley-time", "owen-patches", "gradcam", "integrated-gradients", "occlusion"]
)
def test_json_and_png_are_written_whole(here, tmp_path, method, capsys):
    out, picture = tmp_path / "e.json", tmp_path / "e.png"
    assert run(here, here / "clip.wav", "--method", method, "--json", out, "--png", picture) == 0
    explanation = Explanation.from_json(out.read_text())
    assert explanation.method == method
    assert explanation.times[-1] == pytest.approx(2.0)
    assert np.abs(explanation.values).max() > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.json", "e.png"]
    assert method in capsys.readouterr().out


def test_bands_are_named_in_the_summary_and_drawn_as_bars(here, tmp_path, capsys):
    picture = tmp_path / "bands.png"
    assert run(here, here / "clip.wav", "--method", "shapley-bands", "--png", picture) == 0
    assert capsys.readouterr().out.count(" Hz ") == 8
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_on_stdout_is_all_that_is_there(here, capsys):
    assert run(here, here / "clip.wav", "--players", 3, "--json", "-") == 0
    assert len(json.loads(capsys.readouterr().out)["values"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["clip.wav", "--players", "1"], "2 to 64"),
        (["clip.wav", "--players", "65"], "2 to 64"),
        (["clip.wav", "--method", "tea-leaves"], "there are shapley-multigrid, sliding-window"),
        (["clip.wav", "--method", "gradcam", "--players", "4"], "no option 'players'"),
        (["broken.wav"], "."),
        (["missing.wav"], "missing.wav"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(here, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(here)
    assert run(here, *arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--json", "--png"])
def test_a_missing_folder_is_refused_before_anything_is_explained(here, capsys, option):
    with pytest.raises(SystemExit) as refused:
        main(["clip", "missing.wav", option, str(here / "nowhere" / "out")])
    assert refused.value.code == 2
    assert "there is no folder" in capsys.readouterr().err


def test_without_a_method_it_is_the_one_that_the_page_begins_with(here, capsys):
    assert run(here, here / "clip.wav") == 0
    small = load(here / "small")
    assert capsys.readouterr().out.startswith(f"{default_method(small)} on small, LLR ")


def test_values_and_scores_are_llrs(here, tmp_path, capsys):
    small = load(here / "small")
    calibration = Calibration(scale=2.0, offset=0.5, correlation=0.3)
    scaled = Detector(dataclasses.replace(small.config, calibration=calibration), small.net)
    scaled.save(tmp_path / "scaled")
    explained = {}
    for folder in (here / "small", tmp_path / "scaled"):
        arguments = (here / "clip.wav", "--players", 3, "--json", "-", "--detector", folder)
        assert main(["clip", *map(str, arguments)]) == 0
        explained[folder.name] = Explanation.from_json(capsys.readouterr().out)
    plain, twice = explained["small"], explained["scaled"]
    assert twice.unit == "LLR"
    (window,) = scaled.score(read(here / "clip.wav")).windows
    assert twice.full == pytest.approx(window.llr, abs=1e-4)
    np.testing.assert_allclose(twice.values, 2 * plain.values, rtol=1e-5)
    assert twice.values.sum() == pytest.approx(twice.full - twice.empty, abs=1e-4)


def test_a_promoted_detector_is_explained_unless_the_bundled_one_is_asked_for(
    here, tmp_path, monkeypatch, capsys
):
    use_store(tmp_path, monkeypatch)
    registry.register(here / "small", "cnn")
    registry.promote("cnn", 1)
    explain_it = ["clip", str(here / "clip.wav"), "--players", "2", "--detector", "cnn"]
    assert main(explain_it) == 0
    assert " on small, " in capsys.readouterr().out
    assert main([*explain_it, "--bundled"]) == 0
    assert " on cnn, " in capsys.readouterr().out


def test_an_unknown_detector_is_refused(here, capsys):
    assert main(["clip", str(here / "clip.wav"), "--detector", "oracle"]) == 2
    assert "no detector 'oracle'" in capsys.readouterr().err
