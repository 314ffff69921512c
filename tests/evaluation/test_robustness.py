"""Robustness: what moves an answer is measured, and what only looks like it changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import toy
from voice import voice

from corpora.manifest import Clip
from detectors.audio import RATE
from detectors.config import Calibration
from detectors.models.network import Network
from evaluation.robustness import (
    HARMLESS,
    LONG_SILENCES,
    SILENCES,
    changes,
    markdown,
    measure_changes,
)

GAIN = {"40 dB fainter, 16 bits": HARMLESS["40 dB fainter, 16 bits"]}


class Loudness(Network):
    """Logit: ten times the level, which no level before it evens out."""

    def forward(self, x):
        return 10 * x.square().mean(dim=1).sqrt()


class Energy(Network):
    """Logit: the energy of a window, which silence within it takes away."""

    def forward(self, x):
        return x.square().sum(dim=1) / 100


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two sentences of 1.5 s with a pause between them and around them, by two speakers."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    made = []
    for i in range(4):
        pause = (1e-4 * rng.standard_normal(RATE // 2)).astype(np.float32)
        first, second = voice(1.5, seed=2 * i), voice(1.5, seed=2 * i + 1)
        x = np.concatenate([pause, first, pause, second, pause])
        soundfile.write(folder / f"{i}.wav", x, RATE)
        made.append(Clip(f"{i}", Path(folder / f"{i}.wav"), "bonafide", speaker=f"v{i % 2}"))
    return made


def test_silence_moves_no_answer_wherever_it_is_put(clips):
    detectors = {"energy": toy(Energy(), level_normalise=False)}
    some = {name: SILENCES[name] for name in list(SILENCES)[:6]}
    rows = measure_changes(clips, changes(clips, detectors, some), detectors)
    assert [row["perturbation"] for row in rows] == list(some)
    assert all(row["max"] < 1e-6 and row["n"] == 4 and row["turned"] == 0 for row in rows)


def test_ten_minutes_of_silence_move_no_answer(clips):
    detectors = {"energy": toy(Energy(), level_normalise=False)}
    name = "600 s of hiss between"
    found = changes(clips[:1], detectors, {}, {name: LONG_SILENCES[name]})
    (row,) = measure_changes(clips[:1], found, detectors)
    assert row["max"] < 1e-6


def test_what_a_gain_does_is_measured(clips):
    calibration = Calibration(threshold=0.5)
    detectors = {
        "blind": toy(Loudness(), level_normalise=True),
        "moved": toy(Loudness(), calibration=calibration, level_normalise=False),
    }
    found = changes(clips, detectors, GAIN)
    rows = {row["model"]: row for row in measure_changes(clips, found, detectors)}
    before = found["as it is"]["moved"]
    assert rows["moved"]["value"] == pytest.approx(np.median(0.99 * before), rel=0.02)
    assert rows["moved"]["low"] <= rows["moved"]["value"] <= rows["moved"]["high"]
    assert rows["moved"]["turned"] == 1 and rows["blind"]["turned"] == 0
    assert rows["blind"]["value"] < 0.01
    assert "40 dB fainter" in markdown(list(rows.values()))


def test_other_changes_keep_the_sound(clips):
    x, _ = soundfile.read(clips[0].path, dtype="float32")
    rng = np.random.default_rng(0)
    for name, change in HARMLESS.items():
        y = change(x, rng)
        if len(y) == len(x):
            assert np.corrcoef(x, y)[0, 1] > 0.99, name


def test_a_clip_that_cannot_be_read_is_left_out(clips, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    both = [clips[0], Clip("bad", tmp_path / "bad.wav", "bonafide", speaker="v9")]
    detectors = {"blind": toy(Loudness())}
    (row,) = measure_changes(both, changes(both, detectors, GAIN), detectors)
    assert row["n"] == 1 and "bad.wav was left out" in capsys.readouterr().err
