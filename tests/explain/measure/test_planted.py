"""Planted evidence: methods must find what a synthetic detector is known to listen to."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from explain import METHODS, explain
from explain.coalitions.masking import baseline
from explain.measure.baselines import BASELINES
from explain.measure.planted import Additive, Interacting, Plant, draw, found, planted

DRAWS = 200
SHORT = 0.5  # seconds of the clips here: a passing moment each


@pytest.mark.parametrize(
    ("method", "options", "axes"),
    [
        ("shapley-time", {"players": 4}, {"time"}),
        ("shapley-multigrid", {"grids": (4, 8), "cells": 4, "smooth": 1}, {"time"}),
        ("shapley-bands", {"bands": 4}, {"band"}),
        ("band-inclusion", {"bands": 4}, {"band"}),
        ("owen-patches", {"windows": 4, "bands": 4, "pairs": 2}, {"time", "band"}),
    ],
)
def test_exact_methods_find_the_window_and_the_band_in_every_draw(method, options, axes):
    hits = found(partial(METHODS[method].attribute, **options), DRAWS, parts=4, seconds=SHORT)
    assert hits["residual"] < 1e-4
    assert {axis for axis in ("time", "band") if hits[axis] is not None} == axes
    assert all(hits[axis] == 1 for axis in axes)


def test_eight_windows_are_told_apart_as_well():
    assert found(METHODS["shapley-time"].attribute, 3)["time"] == 1


def test_its_values_are_those_worked_out_on_paper():
    plant, wave = draw(3, seconds=SHORT)
    other = Plant(0.39, 0.425, 0, 8000, weight=-0.5)  # in the seventh window
    net = Additive([plant, other])
    x = torch.from_numpy(wave.samples)
    values = explain(planted(net, SHORT), wave, seed=0).values
    expected = np.zeros(8)
    for one, value in zip((plant, other), net.shapley(x, baseline(x, "noise", 0)), strict=True):
        expected[int(one.start_s * 16)] += value
    assert expected.any()
    assert values == pytest.approx(expected, abs=1e-5)


def test_an_interaction_is_shared_as_worked_out_on_paper():
    _, wave = draw(3, seconds=SHORT)
    pair = [Plant(0.135, 0.18, 0, 4000), Plant(0.325, 0.365, 2000, 8000, weight=0.5)]
    net = Interacting(pair)
    x = torch.from_numpy(wave.samples)
    values = explain(planted(net, SHORT), wave).values
    expected = np.zeros(8)
    expected[[2, 5]] = net.shapley(x, baseline(x, "noise", 0))
    assert values == pytest.approx(expected, abs=1e-4)
    assert abs(expected[2]) > 0.1


def test_a_detector_hears_its_plant_alone():
    plant, wave = draw(5, seconds=SHORT)
    detector = planted(Additive([plant]), SHORT)
    x = torch.from_numpy(wave.samples)[None]
    before = detector.logits(x)
    elsewhere = x.clone()
    elsewhere[:, : round(plant.start_s * 16_000)] = 0
    assert torch.equal(detector.logits(elsewhere), before) and before > 1
    t = torch.arange(16_000) / 16_000
    outside_hz = (plant.high_hz + plant.low_hz) / 2 - 2000 * (1 if plant.low_hz > 4000 else -1)
    tone = torch.sin(2 * torch.pi * outside_hz * t)[None] * 0.1
    assert detector.logits(tone) < 0.1 * before


def test_maps_that_know_nothing_do_not_find_it():
    for name in ("uniform", "random", "energy", "spectral-flux"):
        hits = found(BASELINES[name], 60, seconds=SHORT)
        assert hits["time"] < 0.5 and hits["band"] < 0.5 and hits["residual"] is None, name
    assert found(BASELINES["uniform"], 5)["time"] == pytest.approx(1 / 8)
