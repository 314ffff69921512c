"""Sliding window: each second scored by itself, against the detector's threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import Linear, Tone, fused, hiss, toy, waveform, with_tone

from detectors import Config, Detector
from detectors.config import Calibration
from detectors.models.network import Network
from explain import ExplainError, explain, methods


class Power(Network):
    """Logit = mean power, whatever the length."""

    def forward(self, x: Tensor) -> Tensor:
        return 1000 * x.square().mean(dim=1)


def between(middles: np.ndarray) -> np.ndarray:
    """Four cells a window, on straight lines from middle to middle and level beyond them."""
    place = (np.arange(4 * len(middles)) + 0.5) / 4 - 0.5
    return np.interp(place, np.arange(len(middles)), middles) / (4 * len(middles))


def test_a_cell_lies_between_weighted_means_of_the_windows_around_it():
    calibration = Calibration(scale=2.0, offset=0.5, threshold=1.5, abstain=(1.0, 2.0))
    detector = toy(Power(), calibration=calibration)
    x = hiss() * np.linspace(0, 1, 16_000, dtype=np.float32)
    found = explain(detector, waveform(x), "sliding-window", window_s=0.5, hop_s=0.25)
    power = 1000 * np.square(x)
    # middles at 1/8, 3/8, 5/8 and 7/8 s; the outer windows are three eighths, begun anew
    whole = [power[2000:10_000].mean(), power[6000:14_000].mean()]
    ends = [
        (power[:6000].sum() + power[:2000].sum()) / 8000,
        (power[10_000:].sum() + power[10_000:12_000].sum()) / 8000,
    ]
    expected = np.array([ends[0], *whole, ends[1]])  # neighbours' middles lie just out of reach
    assert found.values == pytest.approx(between(expected - 0.5), rel=1e-5)
    assert found.times == pytest.approx(np.linspace(0, 1, 17))
    assert found.full == pytest.approx(power.mean(), rel=1e-5)
    assert np.isnan(found.residual) and found.forwards == 5
    wider = explain(detector, waveform(x), "sliding-window", window_s=1.0, hop_s=0.5)
    first = (power[:12_000].sum() + power[:4000].sum()) / 16_000
    second = (power[4000:].sum() + power[4000:8000].sum()) / 16_000
    assert wider.values == pytest.approx(between(np.array([first, second]) - 0.5), rel=1e-5)


def test_a_cell_does_not_know_what_is_further_away_than_a_window():
    detector = toy(Tone(1000), window=64_000)
    quiet, loud = waveform(hiss(64_000)), waveform(with_tone(3.0, 4.0, n=64_000))
    one, other = (explain(detector, wave, "sliding-window", start_s=0.0) for wave in (quiet, loud))
    far = one.times[1:] <= 2.0
    assert one.values[far] == pytest.approx(other.values[far], rel=1e-6)
    assert other.times[np.argmax(other.values)] >= 3.0


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.3, 4.0])
def test_it_points_at_a_tone_wherever_it_is(seconds):
    n = round(seconds * 16_000)
    for start in np.arange(0.0, seconds - 0.25, 0.4):
        wave = waveform(with_tone(start, start + 0.25, n=n))
        found = explain(
            toy(Tone(1000), window=64_000), wave, "sliding-window", window_s=0.25, hop_s=0.125
        )
        middle = (
            found.times[np.argmax(found.values)] + found.times[np.argmax(found.values) + 1]
        ) / 2
        assert start - 0.1 < middle < start + 0.35
        assert found.times[0] == 0 and found.times[-1] == pytest.approx(seconds)


def test_it_looks_where_a_long_clip_is_most_suspicious():
    wave = waveform(with_tone(2.2, 2.6, n=48_000))
    found = explain(toy(Tone(1000)), wave, "sliding-window", window_s=0.25)
    assert found.times[0] == 2.0 and found.times[-1] == 3.0 and "strongest" in found.notes[0]


def test_progress_rises_to_one():
    shares: list[float] = []
    explain(toy(Tone(1000)), waveform(hiss()), "sliding-window", hop_s=0.05, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 1


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"window_s": 0.1}, "window_s is from 0.25 to 1 seconds, not 0.1"),
        ({"window_s": 1.5}, "not 1.5"),
        ({"hop_s": 0.01}, "hop_s is from 0.05"),
        ({"window_s": 0.5, "hop_s": 0.6}, "to 0.5 seconds, not 0.6"),
    ],
)
def test_windows_that_make_no_sense_are_refused(chosen, words):
    with pytest.raises(ExplainError, match=words):
        explain(toy(Tone(1000)), waveform(hiss()), "sliding-window", **chosen)


def test_a_network_that_reads_whole_windows_only_is_refused():
    fixed = toy(Linear(torch.ones(16_000)))
    assert "sliding-window" not in methods(fixed)
    with pytest.raises(ExplainError, match="reads whole windows only"):
        explain(fixed, waveform(hiss()), "sliding-window")
    parts = [Detector(Config(name, name, frontend="raw")) for name in ("res-tssdnet", "rawgat-st")]
    assert "sliding-window" in methods(fused(parts[0]))
    assert "sliding-window" not in methods(fused(*parts))
