"""Long recordings measured: a fitted rule keeps its promise, and a good detector finds parts."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest
import soundfile
import torch
from stores import make_detector
from tiny_corpus import fake
from toys import toy
from voice import voice

from corpora.manifest import Clip
from detectors import Detector, HearsayError
from detectors.config import Calibration
from detectors.models.network import Network
from evaluation import recordings
from evaluation.recording_rates import markdown, measure
from evaluation.recordings import MOST_MIXED, fit, lengthened, scored_recordings
from training.__main__ import main

RATE = 16_000


class Buzz(Network):
    """Logit: how much of the sound is the fakes' buzz at 1 kHz and its odd harmonics."""

    def forward(self, x):
        power = torch.fft.rfft(x * torch.hann_window(x.shape[1])).abs().square()
        hz = torch.fft.rfftfreq(x.shape[1], 1 / RATE)
        buzz = (power * ((hz - 3000).abs() < 5)).sum(1) / power.sum(1)
        return 20 * buzz.sqrt() - 1


# Several windows lie within the shortest stretch that is planted, which is as long as a window.
SHAPE = {"window": 2 * RATE, "hop_s": 0.5}
BUZZ = toy(Buzz(), **SHAPE, calibration=Calibration(abstain=(-0.3, 0.3)))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three voices and a fake of each, three clips of all."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for i in range(18):
        speaker, spoof = f"voice-{i // 6}", i % 2
        x = voice(2.5, seed=i // 2)
        soundfile.write(folder / f"{i}.wav", 0.5 * (fake(x) if spoof else x), RATE)
        kind = {"label": "spoof", "system": f"buzz-{i // 6}"} if spoof else {"label": "bonafide"}
        made.append(Clip(str(i), folder / f"{i}.wav", speaker=speaker, split="dev", **kind))
    return made


@pytest.fixture(scope="module")
def scored(clips, tmp_path_factory):
    return scored_recordings(clips, BUZZ, tmp_path_factory.mktemp("cache"))


def test_every_voice_and_system_is_heard_and_every_kind_in_turn_by_channel(scored):
    assert [one.recording.label for one in scored].count("bonafide") == 3
    assert len(scored) == 9
    for label in ("bonafide", "partial", "spoof"):
        own = [one.channel for one in scored if one.recording.label == label]
        assert own == list(recordings.CHANNELS[:3])
    assert all(len(one.recording.samples) == 0 for one in scored)


def test_the_rule_that_dev_fits_finds_what_was_planted_and_keeps_its_promise(scored):
    calibration = fit(scored, BUZZ.config.calibration)
    assert calibration.stretches is not None and 0 <= calibration.correlation <= 1
    rows = measure(scored, calibration)
    alarms = [row["value"] for row in rows["mixed"] if row["metric"] == "bonafide"]
    assert len(alarms) == 3 and max(alarms) <= MOST_MIXED
    at = {(row["stretches"], row["metric"]): row for row in rows["found"]}
    partial = [one.recording.systems for one in scored if one.recording.label == "partial"]
    made = [system for systems in partial for system in systems]
    buzzing = sum(system.startswith("buzz") for system in made)  # it is deaf to the other copies
    assert buzzing >= 3 and at["all", "found"]["value"] >= buzzing / len(made)
    assert at["all", "border"]["value"] <= BUZZ.config.hop_s
    text = markdown(rows)
    for piece in ("| 2 s |", "| 60 s |", "| 30 min |", "| telephone |", "border"):
        assert piece in text


def test_more_minutes_are_drawn_in_blocks_from_the_voices_own_windows(scored):
    one = scored[0]
    long = lengthened([one], 5)
    assert len(long) == recordings.DRAWS and {name for name, _ in long} == {one.recording.voice}
    known = {window.llr for window in one.windows}
    for _, windows in long:
        assert {window.llr for window in windows} <= known
        assert windows[-1].end_s == pytest.approx(300, abs=1)
    assert lengthened([one], 1) == [(one.recording.voice, list(one.windows))]


def test_scores_are_kept_and_found_again(clips, tmp_path, monkeypatch):
    few = [clip for clip in clips if clip.speaker == "voice-0"]
    first = scored_recordings(few, BUZZ, tmp_path)

    def refuse(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(Detector, "window_logits", refuse)
    again = scored_recordings(few, BUZZ, tmp_path)
    assert [one.windows for one in again] == [one.windows for one in first]
    monkeypatch.undo()
    other = toy(Buzz(), **SHAPE, calibration=Calibration(scale=2.0))
    assert scored_recordings(few, other, tmp_path)[0].windows != first[0].windows


def test_too_few_clips_are_a_sentence(clips, tmp_path):
    with pytest.raises(HearsayError, match="three or more bona fide clips"):
        scored_recordings(clips[:4], BUZZ, tmp_path)


def test_the_command_fits_writes_and_measures(clips, tmp_path, capsys):
    make_detector(tmp_path / "mine", name="mine")
    before = Detector.open(tmp_path / "mine").config
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "speaker", "system", "split"])
        writer.writerows([c.path, c.label, c.speaker, c.system, c.split] for c in clips)
    models = ["--models", str(tmp_path / "mine"), "--manifest", str(tmp_path / "manifest.csv")]
    sizes = ["--voices", "1", "--cache", str(tmp_path / "cache")]
    command = ["--threads", "1", "evaluate-recordings", *models, *sizes]
    out = ["--json", str(tmp_path / "rows.json")]
    assert main([*command, "--split", "dev", "--fit", *out]) == 0
    said = capsys.readouterr().out
    assert "3 recordings of dev" in said and "| 30 min |" in said
    after = Detector.open(tmp_path / "mine").config
    assert after.calibration.stretches is not None
    unfitted = {"correlation": 1.0, "stretches": None}
    assert dataclasses.replace(after.calibration, **unfitted) == before.calibration
    assert (tmp_path / "mine" / "card.md").read_text().startswith("# mine")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert set(rows["recordings"][str(tmp_path / "mine")]) == {"amounts", "mixed", "found"}

    assert main([*command, "--split", "tset"]) == 2
    assert "no clips of the split 'tset'" in capsys.readouterr().err
