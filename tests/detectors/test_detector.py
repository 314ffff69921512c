"""Detector: any length, deterministic, gain-invariant, saved and opened unchanged."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from voice import voice

from detectors import Config, Detector, HearsayError, Score, load
from detectors.audio import Facts, Waveform
from detectors.catalog import CATALOG
from detectors.config import Calibration
from detectors.detector import cut, window_starts

# the light rows at full width; tests/training/test_every_architecture.py tries all, made narrow
ARCHITECTURES = ("aasist", "cnn", "cnn-lite", "inc-tssdnet", "resnet", "transformer")


def fresh(architecture: str, **changes) -> Detector:
    """An untrained detector whose batch norms have seen a voice, so that its logits vary."""
    torch.manual_seed(0)
    config = Config(architecture, architecture, frontend=CATALOG[architecture].frontend, **changes)
    detector = Detector(config)
    for module in detector.net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the plain mean of what they see
    detector.net.train()
    with torch.no_grad():
        detector.logits(torch.from_numpy(np.stack([voice(1, seed) for seed in range(4)])))
    detector.net.eval()
    return detector


def wave(samples: np.ndarray) -> Waveform:
    n = len(samples) / 16_000
    return Waveform(samples, Facts(n, 16_000, 1, "wav", "pcm", 0.5, 0.0, 8000.0, n, ()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_row_does_not_depend_on_the_rest_of_the_batch(architecture):
    detector = fresh(architecture)
    x = torch.from_numpy(np.stack([voice(2, seed) for seed in range(3)]))
    with torch.inference_mode():
        together, alone = detector.logits(x), detector.logits(x[1:2])
    assert together.shape == (3,)
    assert torch.allclose(together[1:2], alone, atol=1e-4)
    assert together.std() > 1e-3, "the logit must depend on the input"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("decibel", [-30, -12, 10])
def test_gain_changes_nothing(architecture, decibel):
    detector = fresh(architecture)
    x = torch.from_numpy(voice(2))[None]
    with torch.inference_mode():
        assert torch.allclose(
            detector.logits(x), detector.logits(x * 10 ** (decibel / 20)), atol=1e-3
        )


def test_levelled_input_is_left_as_it_is():
    detector = fresh("cnn")
    x = detector.level(torch.from_numpy(voice(4))[None])
    muted = x.clone()
    muted[:, :32_000] = 0
    with torch.inference_mode():
        assert torch.allclose(detector.logits(x), detector.logits(x, levelled=True), atol=1e-5)
        assert not torch.allclose(
            detector.logits(muted), detector.logits(muted, levelled=True), atol=1e-3
        )


def test_published_weights_see_raw_levels():
    detector = fresh("aasist", level_normalise=False)
    x = torch.from_numpy(voice(2))[None]
    with torch.inference_mode():
        assert not torch.allclose(detector.logits(x), detector.logits(x / 8), atol=1e-3)


def test_logits_are_differentiable_to_the_samples():
    for architecture in ARCHITECTURES:
        x = torch.from_numpy(voice(1))[None].requires_grad_()
        (gradient,) = torch.autograd.grad(fresh(architecture).logits(x).sum(), x)
        assert gradient.abs().sum() > 0


@given(st.integers(1, 400_000), st.integers(8_000, 64_600), st.integers(1_000, 32_000))
def test_windows_cover_the_clip(n, window, hop):
    starts = window_starts(n, window, min(hop, window))
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert max(starts[-1] + window, n) == (starts[-1] + window if n <= window else n)
    assert all(b - a <= min(hop, window) for a, b in itertools.pairwise(starts))


def test_a_long_clip_gets_a_window_a_second_and_the_rule_of_the_config():
    x = voice(9.3)
    scores = {p: fresh("cnn", pooling=p).score(wave(x)) for p in ("mean", "max", "top3")}
    windows = scores["mean"].windows
    llrs = [w.llr for w in windows]
    assert [w.start_s for w in windows[:-1]] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert windows[-1].end_s == pytest.approx(9.3)
    votes = [w.speech_s for w in windows]
    assert scores["mean"].llr == pytest.approx(np.average(llrs, weights=votes))
    assert scores["max"].llr == pytest.approx(max(llrs))
    assert scores["top3"].llr == pytest.approx(np.mean(sorted(llrs)[-3:]))


def test_a_short_clip_is_repeated_and_flagged():
    score = fresh("cnn").score(wave(voice(1.5)))
    assert len(score.windows) == 1
    assert score.windows[0].end_s == pytest.approx(1.5)
    assert "repeated" in score.notes[0]
    tiled = np.tile(voice(1.5), 3)[:64_600]
    assert score.llr == pytest.approx(fresh("cnn").score(wave(tiled)).llr, abs=1e-5)
    assert fresh("cnn").score(wave(tiled)).notes == ()


def test_scores_are_the_same_each_time():
    detector, x = fresh("resnet"), wave(voice(6))
    assert detector.score(x) == detector.score(x)


@settings(max_examples=30)
@given(st.floats(-20, 20), st.floats(0.01, 0.99))
def test_probability_and_verdict_move_with_the_evidence(llr, prior):
    detector = fresh("cnn", calibration=Calibration(2.0, 0.5, 0.1, (-0.4, 0.6)))
    calibration = detector.config.calibration
    order = {"real": 0, "inconclusive": 1, "fake": 2}
    verdicts = [calibration.verdict(llr + d, prior) for d in (-2, 0, 2)]
    assert [order[v] for v in verdicts] == sorted(order[v] for v in verdicts)
    low = dataclasses.replace(detector.score(wave(voice(1))), llr=llr)
    high = dataclasses.replace(low, llr=llr + 0.5)
    assert 0 <= low.p_fake(prior) < high.p_fake(prior) <= 1


def test_the_calibration_is_applied_to_clip_and_windows():
    x = wave(voice(5))
    plain = fresh("cnn").score(x)
    scaled = fresh("cnn", calibration=Calibration(3.0, -1.0)).score(x)
    assert scaled.llr == pytest.approx(3 * plain.llr - 1, abs=1e-5)
    assert scaled.windows[1].llr == pytest.approx(3 * plain.windows[1].llr - 1, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_and_opened_it_is_the_same_detector(tmp_path, architecture):
    detector = fresh(architecture, calibration=Calibration(1.5, 0.2, 0.3, (-0.1, 0.9)))
    detector.save(tmp_path / "d", "# card\n")
    again = load(tmp_path / "d")
    x = wave(voice(2))
    assert again.config == detector.config
    assert again.score(x) == detector.score(x)
    names = {p.name for p in (tmp_path / "d").iterdir()}
    assert names == {"config.json", "weights.safetensors", "card.md"}
    detector.save(tmp_path / "d", "# other\n")  # over the old one
    assert (tmp_path / "d" / "card.md").read_text() == "# other\n"
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_the_digest_is_of_what_decides_the_answers(tmp_path):
    detector = fresh("cnn", hop_s=2)
    detector.save(tmp_path / "d")
    assert load(tmp_path / "d").digest == detector.digest

    def other(**changes) -> str:
        return Detector(dataclasses.replace(detector.config, **changes), detector.net).digest

    assert other(name="another", figures={"dev": {"eer": 0.1}}) == detector.digest
    others = {other(hop_s=1.0), other(calibration=Calibration(2.0)), other(pooling="max")}
    detector.net.out.bias.add_(1e-6)
    others |= {other()}
    assert len(others) == 4 and detector.digest not in others


def test_what_is_no_detector_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(HearsayError, match="There is no detector 'nobody'"):
        load("nobody")
    (tmp_path / "d").mkdir()
    with pytest.raises(HearsayError, match=r"config\.json is missing"):
        load(tmp_path / "d")
    fresh("cnn").save(tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    (tmp_path / "d" / "config.json").write_text(json.dumps({**config, "surprise": 1}))
    with pytest.raises(HearsayError, match="surprise"):
        load(tmp_path / "d")
    (tmp_path / "d" / "config.json").write_text(json.dumps({**config, "architecture": "oracle"}))
    with pytest.raises(HearsayError, match="no architecture 'oracle'"):
        load(tmp_path / "d")
    (tmp_path / "d" / "config.json").write_text(json.dumps(config))
    weights = load_file(tmp_path / "d" / "weights.safetensors")
    weights["out.weight"] = weights["out.weight"][:, :5].contiguous()
    weights.pop("out.bias")
    save_file(weights, tmp_path / "d" / "weights.safetensors")
    with pytest.raises(HearsayError, match=r"missing \(out.bias\).*misshapen \(out.weight\)"):
        load(tmp_path / "d")
    (tmp_path / "d" / "weights.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(HearsayError, match="no usable detector"):
        load(tmp_path / "d")


MEMBER = {
    "name": "a", "architecture": "cnn", "options": {}, "frontend": "raw", "frontend_options": {}
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frontend": "nope"}, "no front-end 'nope'"),
        ({"frontend_options": {"mels": "many"}}, "'log-mel' does not take these options"),
        ({"frontend_options": {"mels": 2**31}}, "does not make a spectrogram of 2147483648 rows"),
        (
            {"frontend": "log-spec", "frontend_options": {"bins": 2**31}},
            "does not make a spectrogram",
        ),
        ({"frontend_options": {"n_fft": 2**31}}, "a spectrum of 2147483648 samples"),
        ({"frontend": "log-cqt", "frontend_options": {"per_octave": 2**31}}, "1 to 200 bands"),
        ({"frontend": "log-cqt", "frontend_options": {"octaves": 10**30}}, "do not lie between"),
        ({"frontend_options": {"hop": 1}}, "hop is 16 to 16000 samples, not 1"),
        (
            {"frontend": "log-cqt", "frontend_options": {"octaves": 1, "hop": 1}},
            "hop is 16 to 16000 samples, not 1",
        ),
        ({"window": 2**31}, "window: Input should be less than or equal to 960000"),
        ({"window": 1}, "window: Input should be greater than or equal to 8000"),
        ({"architecture": ["cnn"]}, "architecture: Input should be a valid string"),
        ({"options": {"channels": []}}, "'cnn' does not take these options"),
        ({"options": {"channels": [-1, 2]}}, "'cnn' does not take these options"),
        ({"architecture": "fusion", "options": {"members": [{}]}}, "members, each with name"),
        ({"architecture": "fusion", "options": {"members": [3]}}, "members, each with name"),
        (
            {"architecture": "fusion", "options": {"members": [{**MEMBER, "window": 9}]}},
            "members, each with name",
        ),
        ({"hop_s": float("nan")}, "hop_s: Input should be a finite number"),
        ({"hop_s": 0.05}, "hop_s: Input should be greater than or equal to 0.1"),
        ({"hop_s": 1e9}, "hop_s: Input should be less than or equal to 60"),
        ({"name": "x" * 1000}, "name: String should have at most 200"),
        ({"options": {"channels": [10**9, 2]}}, "options: Value error, 1000000000 is out of bound"),
        ({"window": 64_600.5}, "window: Input should be a valid integer"),
        ({"figures": []}, "figures: Input should be an object"),
        ({"figures": {"dev": {"cllr": "x"}}}, "figures: dev: cllr: Input should be a valid number"),
        (
            {"figures": {"dev": {"robustness": {"8 bits": {"p90": -1}}}}},
            "8 bits: median: Field req",
        ),
        ({"figures": {"dev": {"eer": {}}}}, "figures: dev: eer: Input should be a valid number"),
        ({"figures": {"dev": {"eer": 20}}}, "figures: dev: eer: Input should be less than"),
        ({"figures": {"dev": {"eer_ci": [0.1]}}}, "figures: dev: eer_ci: 1: Field required"),
        ({"figures": {"test": {"verdicts": 3}}}, "figures: test: verdicts: Input should be"),
        ({"calibration": {"scale": "x"}}, "calibration: scale: Input should be a valid number"),
        ({"calibration": {"offset": float("inf")}}, "calibration: offset"),
        ({"calibration": {"offset": -1e10}}, "calibration: offset: Input should be greater"),
        ({"calibration": {"scale": 0}}, "calibration: scale: Input should be greater than 0"),
        ({"calibration": {"scale": 1e300}}, "calibration: scale: Input should be less"),
        ({"calibration": {"threshold": 5000}}, "calibration: threshold: Input should be less"),
        ({"calibration": {"abstain": [2, -1]}}, "the lower bound lies above the upper one"),
        ({"calibration": {"abstain": [-3000, 3000]}}, "abstain: 0: Input should be greater"),
        ({"calibration": {"abstain": [0]}}, "calibration: abstain: 1: Field required"),
        ({"pooling": "most"}, "pooling is one of mean, max, top3"),
    ],
)
def test_a_wrong_config_is_a_sentence_that_names_the_fault(tmp_path, change, said):
    fresh("cnn").save(tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    (tmp_path / "d" / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(HearsayError, match=said):
        load(tmp_path / "d")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"name": "' + b"x" * (1 << 20) + b'"}', "larger than 1 MB"),
        (b'{"name": "caf\xe9"}', "This is no detector config"),
        (b'{"options": ' + b'{"a": ' * 10_000, "This is no detector config"),
        (b"", "This is no detector config"),
    ],
)
def test_what_is_no_config_at_all_is_a_sentence(tmp_path, text, said):
    fresh("cnn").save(tmp_path / "d")
    (tmp_path / "d" / "config.json").write_bytes(text)
    with pytest.raises(HearsayError, match=said):
        load(tmp_path / "d")


def test_a_huge_config_is_not_read_whole(tmp_path):
    fresh("cnn").save(tmp_path / "d")
    with (tmp_path / "d" / "config.json").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: reading it whole would end the tests
    with pytest.raises(HearsayError, match="larger than 1 MB"):
        load(tmp_path / "d")


def test_a_front_end_that_does_not_fit_is_refused_where_a_folder_comes_in(tmp_path):
    fresh("cnn").save(tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    wrong = {**config, "frontend_options": {"mels": 40}}
    (tmp_path / "d" / "config.json").write_text(json.dumps(wrong))
    with pytest.raises(HearsayError, match="its front-end does not fit its network"):
        load(tmp_path / "d")


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    fresh("cnn").save(tmp_path / "d")
    (tmp_path / "d" / name).unlink()
    (tmp_path / "d" / name).mkdir()
    with pytest.raises(HearsayError, match=f"{name} is missing"):
        load(tmp_path / "d")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    fresh("cnn").save(tmp_path / "d")
    weights = load_file(tmp_path / "d" / "weights.safetensors")
    weights["out.weight"][0, 3] = value
    save_file(weights, tmp_path / "d" / "weights.safetensors")
    with pytest.raises(HearsayError, match=r"1 NaN or infinite \(out.weight\)"):
        load(tmp_path / "d")


def test_an_llr_that_is_no_number_has_no_probability():
    for llr in (float("nan"), float("-inf")):
        with pytest.raises(HearsayError, match="no usable number"):
            Score(llr, ()).p_fake()


def test_the_probability_holds_for_any_evidence_and_any_prior():
    assert Score(-800.0, ()).p_fake() == 0 and Score(800.0, ()).p_fake() == 1
    assert Score(0.0, ()).p_fake(1e-310) == pytest.approx(0)
    assert Score(1.5, ()).p_fake(0.2) == pytest.approx(1 / (1 + 4 * np.exp(-1.5)))


def taken(folder: Path) -> Path:
    """Things of a user's at `folder` that must stay."""
    folder.mkdir()
    (folder / "a.jpg").write_text("mine")
    (folder / "config.json").write_text("mine")
    return folder


def test_saving_replaces_nothing_but_a_detector(tmp_path, monkeypatch):
    photos, file = taken(tmp_path / "photos"), tmp_path / "afile"
    file.write_text("mine")
    monkeypatch.chdir(photos)
    for target in (photos, ".", file, file / "below", "/proc/nope/x"):
        with pytest.raises(HearsayError, match=r"other things|can be written"):
            fresh("cnn").save(target)
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "afile"}
    assert {p.read_text() for p in [file, *photos.iterdir()]} == {"mine"}


def test_a_detector_is_written_where_a_link_leads(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "there")
    fresh("cnn").save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "link").config == load(tmp_path / "there").config
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(HearsayError, match="can be written"):
        fresh("cnn").save(tmp_path / "loop")
    assert {p.name for p in tmp_path.iterdir()} == {"link", "there", "loop"}


def test_cut_repeats_only_what_is_short():
    x = np.arange(10, dtype=np.float32)
    assert cut(x, 4, 6).tolist() == [4, 5, 6, 7, 8, 9]
    assert cut(x, 0, 12).tolist() == [*range(10), 0, 1]
