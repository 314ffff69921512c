"""LIME and occlusion: both equal the Shapley values of an additive detector."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from toys import WINDOW, Both, Linear, Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, explain


@pytest.mark.parametrize("name", ["noise", "zeros"])
def test_all_agree_on_an_additive_detector(name):
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    exact = explain(detector, wave, "shapley-time", baseline=name)
    dropped = explain(detector, wave, "occlusion", window_s=1 / 8, baseline=name)
    fitted = explain(detector, wave, "lime-time", baseline=name)
    assert dropped.values == pytest.approx(exact.values, abs=1e-6)
    assert fitted.values == pytest.approx(exact.values, abs=1e-4)
    for explanation in (dropped, fitted):
        assert explanation.times == pytest.approx(exact.times)
        assert explanation.full == pytest.approx(exact.full)
        assert explanation.empty == pytest.approx(exact.empty)
        assert math.isnan(explanation.residual)


def test_occlusion_counts_an_interaction_twice():
    # what Shapley values share, each of the two windows is wholly needed for
    first, second = torch.zeros(WINDOW), torch.zeros(WINDOW)
    first[2_500:3_500] = 0.1
    second[12_500:13_500] = 0.1
    wave = waveform(np.full(WINDOW, 0.02))
    values = explain(
        toy(Both(first, second)), wave, "occlusion", window_s=1 / 8, baseline="zeros"
    ).values
    assert values[[1, 6]] == pytest.approx([4, 4], rel=1e-4)


def test_occlusion_costs_a_forward_a_window():
    explanation = explain(
        toy(Tone(1000)), waveform(with_tone(0.5, 0.54)), "occlusion", window_s=0.04
    )
    assert explanation.values.shape == (25,)
    assert explanation.forwards == 27
    assert explanation.values.argmax() in (12, 13)


def r2(explanation) -> float:
    return float(re.search(r"(\d+) %", explanation.notes[-1])[1]) / 100


def test_the_surrogates_fit_is_told():
    additive = toy(Linear(torch.from_numpy(hiss(seed=1))))
    assert r2(explain(additive, waveform(hiss(seed=2)), "lime-time")) == 1
    first, second = torch.zeros(WINDOW), torch.zeros(WINDOW)
    first[: WINDOW // 2], second[WINDOW // 2 :] = 0.1, 0.1
    product = explain(toy(Both(first, second)), waveform(np.full(WINDOW, 0.02)), "lime-time")
    assert 0.3 < r2(product) < 0.98


def test_lime_repeats_with_its_seed_and_leaves_others_random():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.2, 0.5))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same = (explain(detector, wave, "lime-time", seed=3) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(one.values, same.values)
    other = explain(detector, wave, "lime-time", seed=4)
    assert not np.array_equal(one.values, other.values)


def test_lime_finds_a_planted_patch():
    wave = waveform(with_tone(0.52, 0.6, 5000))
    explanation = explain(toy(Tone(5000)), wave, "lime-patches")
    assert explanation.values.shape == (4, 8)
    assert np.unravel_index(explanation.values.argmax(), (4, 8)) == (2, 4)
    assert explanation.forwards <= 162


def test_progress_is_told():
    for method in ("lime-time", "lime-patches", "occlusion"):
        seen = []
        explain(toy(Tone(1000)), waveform(hiss()), method, progress=seen.append)
        assert seen[-1] == 1 and seen == sorted(seen)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lime-time", {"players": 1}),
        ("lime-time", {"players": 20, "samples": 79}),
        ("lime-patches", {"samples": 100}),
        ("lime-patches", {"baseline": "music"}),
        ("occlusion", {"window_s": 0.001}),
        ("occlusion", {"window_s": 5}),
        ("occlusion", {"baseline": "music"}),
    ],
)
def test_values_that_they_do_not_take(method, options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), method, **options)
