"""Robustness by condition: a detector that a channel blinds is shown to be blind there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import toy
from voice import voice

from corpora.manifest import Clip
from detectors.config import Calibration
from detectors.models.network import Network
from evaluation.conditions import degraded, markdown, measure_under, score_under, under


class Hiss(Network):
    """Logit: whether there is much above 6 kHz, which no telephone passes."""

    def forward(self, x):
        spectrum = np.abs(np.fft.rfft(x.numpy(), axis=1)) ** 2
        high = spectrum[:, -spectrum.shape[1] // 4 :].sum(1) / spectrum.sum(1)
        return 5 * (x.new_tensor(np.log10(high + 1e-12)) + 1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six real voices, and six fake ones that hiss."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for i in range(12):
        x = voice(2.2, seed=i)
        if i % 2:
            noise = np.diff(np.random.default_rng(i).normal(size=len(x) + 1)) * 0.05
            x = x + noise.astype(np.float32)
        soundfile.write(folder / f"{i}.wav", 0.5 * x, 16_000, subtype="FLOAT")
        label = "spoof" if i % 2 else "bonafide"
        made.append(Clip(str(i), Path(folder / f"{i}.wav"), label, speaker=f"v{i}"))
    return made


def test_a_channel_that_removes_the_trace_removes_the_detection(clips):
    detectors = {"hiss": toy(Hiss(), calibration=Calibration(abstain=(-0.5, 0.5)))}
    rows = measure_under(clips, score_under(clips, detectors), detectors)
    at = {row["condition"]: row for row in rows}
    assert at["clean"]["value"] == 0 and at["clean"]["n"] == 12
    assert at["clean"]["called_fake"] == 0 and at["clean"]["found"] == 1
    assert at["gain -20 dB"]["value"] == at["2 s"]["value"] == 0
    assert at["telephone"]["found"] == 0 and at["telephone"]["called_fake"] == 0
    assert at["telephone"]["value"] > 0.1
    assert all(math.isfinite(row["cllr"]) for row in rows)
    assert at["clean"]["low"] <= at["clean"]["value"] <= at["clean"]["high"]

    text = markdown(rows)
    assert "| telephone | " in text and "0% / 0%" in text and "mean rise over clean" in text


def test_a_clip_is_changed_alike_whoever_asks(clips):
    x = voice(1.0)
    assert np.array_equal(under("noise 15 dB", "a", x), under("noise 15 dB", "a", x))
    assert not np.array_equal(under("noise 15 dB", "a", x), under("noise 15 dB", "b", x))


def test_every_clip_is_degraded_in_another_way_each_time(clips):
    audio = [np.round(voice(2.2, seed=i) * 20_000).astype(np.int16) for i in range(12)]
    made = degraded(clips, audio)
    assert len(made) == 24 and all(x.dtype == np.int16 and len(x) for x in made)
    changed = [not np.array_equal(x, audio[i % 12]) for i, x in enumerate(made)]
    assert all(changed)
    for one, two in zip(made[:12], made[12:], strict=True):
        assert not np.array_equal(one, two)
    assert all(np.array_equal(*both) for both in zip(made, degraded(clips, audio), strict=True))
