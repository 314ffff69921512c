"""Shortcut audit: a detector that leans on a shortcut is caught, and one that does not is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import welch
from tiny_corpus import tiny_corpus
from torch import Tensor
from toys import RATE, Tone, hiss, toy, waveform
from voice import voice

from corpora.manifest import read_manifest
from detectors import Config, Detector
from detectors.models.network import Network
from detectors.tables import find
from explain import ExplainError
from explain.__main__ import main
from explain.audit import VARIANTS, audit
from explain.measure.audit_corpus import audit_corpus


class Opening(Network):
    """Logit = how much quieter the first fifth of a second is than the rest, in dB less 20."""

    def forward(self, x: Tensor) -> Tensor:
        first, rest = (part.square().mean(dim=1) for part in (x[:, :3200], x[:, 3200:]))
        return 10 * torch.log10((rest + 1e-9) / (first + 1e-9)) - 20


class Volume(Network):
    """Logit = level in dB over -32 dB, a little below that of a voice."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * torch.log10(x.square().mean(dim=1) + 1e-12) + 32


def late_voice() -> np.ndarray:
    """Half a second of almost nothing, then a voice, then a little of almost nothing."""
    silence = hiss(RATE // 2, level=1e-4)
    return np.concatenate([silence, voice(2.0), silence])


def by_name(detector, samples) -> dict:
    return {row.name: row for row in audit(detector, waveform(samples))}


def test_a_detector_of_leading_silence_turns_when_it_is_trimmed():
    rows = by_name(toy(Opening(), window=3 * RATE), late_voice())
    assert rows["original"].verdict == "fake"
    assert rows["trimmed"].verdict == "real" and rows["trimmed"].flipped
    assert [name for name, row in rows.items() if row.flipped and name != "noisy"] == ["trimmed"]


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
def test_level_never_turns_a_levelled_detector(level):
    rows = by_name(toy(Tone(1000), level_normalise=True, hop_s=0.25), level * late_voice())
    for name in ("quieter", "louder"):
        assert not rows[name].flipped
        assert rows[name].llr == pytest.approx(rows["original"].llr, rel=1e-3)


def test_level_turns_one_that_is_not():
    rows = by_name(toy(Volume(), window=3 * RATE), late_voice())
    assert rows["quieter"].flipped and not rows["louder"].flipped


def test_the_original_comes_first_and_is_the_detectors_own_score():
    detector, clip = toy(Tone(1000)), waveform(late_voice())
    first, *others = audit(detector, clip, prior=0.2)
    assert first.name == "original" and not first.flipped
    assert first.llr == detector.score(clip).llr
    assert first.p_fake == detector.score(clip).p_fake(0.2)
    assert [row.name for row in others] == list(VARIANTS)


def test_variants_change_what_they_say_and_nothing_else():
    x = late_voice()
    assert VARIANTS["quieter"](x) == pytest.approx(x / 10)
    assert VARIANTS["shifted"](x) == pytest.approx(x[320:])
    trimmed = VARIANTS["trimmed"](x)
    assert 1.8 * RATE < len(trimmed) < 2.4 * RATE
    noise = VARIANTS["noisy"](x) - x
    assert 10 * np.log10(np.mean(x**2) / np.mean(noise**2)) == pytest.approx(15, abs=0.1)
    coded = VARIANTS["mp3"](x)
    assert len(coded) == len(x) and np.corrcoef(coded, x)[0, 1] > 0.98
    assert np.abs(coded - x).max() > 1e-4


def test_the_narrow_version_holds_nothing_above_4_khz():
    white = hiss(2 * RATE)
    hz, power = welch(VARIANTS["narrow"](white), RATE, nperseg=1024)
    below, above = power[hz < 3500].mean(), power[hz > 4200].mean()
    assert 10 * np.log10(below / above) > 60
    assert len(VARIANTS["narrow"](white)) == len(white)


def test_mp3_does_not_clip_what_is_above_full_scale():
    x = 3 * voice(1.0)
    assert np.abs(VARIANTS["mp3"](x)).max() > 1.2


def test_a_clip_without_speech_is_one_sentence():
    with pytest.raises(ExplainError, match="No speech was found in the clip"):
        audit(toy(Tone(1000)), waveform(hiss(2 * RATE)))


# --- over a manifest ---


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    tiny_corpus(folder, speakers=3)
    torch.manual_seed(0)
    Detector(Config("small", "cnn", {"channels": (4, 4)}, window=16_000)).save(folder / "small")
    return folder


def test_shares_of_flips_are_counted_by_label(here):
    clips = read_manifest(here / "manifest.csv", "test")
    result = audit_corpus(clips, {"gain": toy(Volume(), window=RATE)})
    rows = result["rows"]
    quieter = {row["metric"]: row for row in rows if row["condition"] == "quieter"}
    assert result["clips"] == 6 and result["skipped"] == 0
    flips = quieter["flips"]
    assert (flips["value"], flips["low"], flips["high"], flips["n"]) == (1.0, 1.0, 1.0, 6)
    assert quieter["flips of spoof"]["n"] == quieter["flips of bonafide"]["n"] == 3
    assert find(rows, condition="original", metric="flips")["value"] == 0
    assert quieter["shift of spoof"]["value"] == pytest.approx(-20, abs=0.5)
    assert quieter["eer"]["low"] <= quieter["eer"]["value"] <= quieter["eer"]["high"]


def test_clips_without_speech_are_skipped_and_named(here, tmp_path, capsys):
    soundfile.write(tmp_path / "hiss.flac", hiss(RATE), RATE)
    soundfile.write(tmp_path / "voice.flac", voice(1.0), RATE)
    (tmp_path / "page.flac").write_text("<html>404</html>")
    rows = "hiss.flac,real,a\nvoice.flac,real,b\npage.flac,real,c\n"
    (tmp_path / "m.csv").write_text(f"path,label,speaker\n{rows}")
    result = audit_corpus(read_manifest(tmp_path / "m.csv"), {"toy": toy(Volume())})
    assert result["skipped"] == 2 and {*result["left_out"]} == {"hiss.flac", "page.flac"}
    said = capsys.readouterr().err
    assert all(f"{tmp_path / name} was left out: " in said for name in ("hiss.flac", "page.flac"))
    original = {row["metric"]: row for row in result["rows"] if row["condition"] == "original"}
    assert original["flips"]["n"] == 1 and original["eer"]["value"] is None
    none = original["flips of spoof"]
    assert (none["value"], none["low"], none["high"], none["n"]) == (None, None, None, 0)
    with pytest.raises(ExplainError, match="None of the 1 clips"):
        audit_corpus(read_manifest(tmp_path / "m.csv")[:1], {"toy": toy(Volume())})


def run(here, *arguments) -> int:
    own = ("--manifest", here / "manifest.csv", "--detectors", here / "small")
    return main(["audit", *(str(a) for a in (*own, *arguments))])


def test_the_command_prints_a_table_and_writes_json(here, tmp_path, capsys):
    out = tmp_path / "audit.json"
    assert run(here, "--split", "test", "--clips", 4, "--json", out) == 0
    result = json.loads(out.read_text())
    assert result["split"] == "test" and result["clips"] == 4
    assert {row["detector"] for row in result["rows"]} == {str(here / "small")}
    assert {row["condition"] for row in result["rows"]} == {"original", *VARIANTS}
    assert "| trimmed |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "nowhere/audit.json"], "there is no folder nowhere"),
        (["--split", "moon"], "no clips of the split 'moon'"),
        (["--clips", "0"], "from 1"),
    ],
)
def test_bad_input_ends_before_the_work_starts(here, capsys, arguments, said):
    try:
        code = run(here, *arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err
