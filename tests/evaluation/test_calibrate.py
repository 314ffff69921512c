"""Calibration on dev: LLRs that mean what they say, and a pooling rule that has to earn it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import hiss

from corpora.manifest import Clip
from detectors import Config, Detector
from detectors.models.network import Network
from evaluation.calibrate import calibrate


class Level(Network):
    """Logit = 20 times the RMS: what a test writes into a window is what it reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * x.square().mean(dim=-1).sqrt()


def clips(n: int) -> list[Clip]:
    return [
        Clip(
            id=str(i), path=Path(f"{i}.wav"), label="spoof" if i % 2 else "bonafide", split="dev",
            system="x" if i % 2 else "bonafide", family="tts", speaker=f"s{i}", source="",
            language="en", codec="",
        )
        for i in range(n)
    ]  # fmt: skip


def detector() -> Detector:
    config = Config("level", "cnn", frontend="raw", window=8_000, hop_s=0.5, level_normalise=False)
    return Detector(config, Level())


def sounds(levels: np.ndarray) -> list[np.ndarray]:
    """levels (clips, windows) -> clips whose windows have these RMS values, as int16."""
    parts = [[level * hiss(8_000, level=1.0) / 5 for level in row] for row in levels]
    return [np.round(np.concatenate(p) * 32767).astype(np.int16) for p in parts]


def test_llrs_are_zero_where_both_labels_are_as_likely_and_grow_with_the_evidence():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    levels = (0.5 + 0.1 * (labels - 0.5) + 0.1 * rng.standard_normal(400)).clip(0.05)[:, None]
    fitted, llr = calibrate(detector(), clips(400), sounds(levels))
    # two Gaussians one standard deviation apart: LLR = (x - mean) / sd
    expected = (levels[:, 0] - 0.5) / 0.1
    assert np.polyfit(expected, llr, 1) == pytest.approx([1.0, 0.0], abs=0.25)
    assert fitted.config.figures["dev"]["cllr"] < 1
    low, high = fitted.config.calibration.abstain
    assert low <= fitted.config.calibration.threshold <= high


def test_few_speakers_have_no_interval():
    levels = 0.3 + 0.1 * np.random.default_rng(0).random((40, 1))
    few = [replace(clip, speaker=f"s{i % 4}") for i, clip in enumerate(clips(40))]
    assert calibrate(detector(), few, sounds(levels))[0].config.figures["dev"]["eer_ci"] is None
    interval = calibrate(detector(), clips(40), sounds(levels))[0].config.figures["dev"]["eer_ci"]
    assert len(interval) == 2


@pytest.mark.parametrize(("share", "rule"), [(1.0, "mean"), (0.2, "max")])
def test_the_rule_is_the_mean_unless_another_is_clearly_better(share, rule):
    # fakes that are loud all along, or in one of five windows only
    rng = np.random.default_rng(1)
    levels = 0.3 + 0.1 * rng.random((200, 5))
    levels[1::2, : round(5 * share)] += 0.12 if share < 1 else 0.04
    fitted, _ = calibrate(detector(), clips(200), sounds(levels))
    assert fitted.config.pooling == rule


def test_degraded_rounds_move_the_calibration_and_not_the_figures():
    rng = np.random.default_rng(2)
    labels = np.arange(200) % 2
    levels = (0.5 + 0.2 * (labels - 0.5) + 0.1 * rng.standard_normal(200)).clip(0.05)[:, None]
    clean, _ = calibrate(detector(), clips(200), sounds(levels))
    worse = [(0.5 * x).astype(np.int16) for x in sounds(levels)]
    both, llr = calibrate(detector(), clips(200), sounds(levels), worse=[*worse, *worse])
    assert len(llr) == 200
    assert both.config.figures["dev"]["eer"] == clean.config.figures["dev"]["eer"]
    assert both.config.calibration.threshold != clean.config.calibration.threshold
    assert both.config.calibration.scale < clean.config.calibration.scale
