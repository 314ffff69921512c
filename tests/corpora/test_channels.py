"""Channels and codecs: the same sound at the same place, worse, and the same again for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from voice import voice

from corpora import channels
from corpora.channels import CODECS, CONDITIONS


@pytest.mark.parametrize("name", CODECS)
def test_codecs_keep_length_place_and_loudness(name):
    x = voice(2.03)
    y = channels.encode(x, CODECS[name])
    assert y.dtype == np.float32 and len(y) == len(x)
    lags = range(-200, 201)
    match = [np.dot(x[400:-400], np.roll(y, -lag)[400:-400]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 16
    assert np.corrcoef(x, y)[0, 1] > 0.75
    assert 0.7 < np.std(y) / np.std(x) < 1.2


def test_a_lower_bit_rate_costs_more():
    x = voice(2.0)
    errors = [
        np.mean((channels.encode(x, CODECS["mp3"].at(kbps)) - x) ** 2) for kbps in (128, 48, 16)
    ]
    assert errors == sorted(errors) and errors[2] > 3 * errors[0]


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_repeat_with_their_seed_and_leave_the_clip_alone(name):
    x = voice(2.5)
    before = x.copy()
    one, two = (CONDITIONS[name](x, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, two) and np.isfinite(one).all() and len(one) <= len(x)
    assert np.array_equal(x, before)
    assert (name == "clean") == np.array_equal(one, x)


@pytest.mark.parametrize("snr", [0.0, 15.0])
def test_noise_of_every_kind_is_as_loud_as_it_says(snr):
    x, rng = voice(2.0), np.random.default_rng(0)
    for noise in (
        channels.coloured_noise(len(x), 0.5, rng),
        channels.babble(x, 5, rng),
        channels.music(len(x), rng),
    ):
        added = channels.add(x, noise, snr) - x
        ratio = np.mean(x**2) / np.mean(added**2)
        assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.1)


def test_lost_packets_are_repeated_and_the_others_stay():
    x = voice(2.0)
    y = channels.packet_loss(x, 0.2, np.random.default_rng(1))
    changed = (x != y).reshape(-1, 320).any(axis=1)
    assert 0.08 < changed.mean() < 0.35


@pytest.mark.parametrize("bits", [6, 8.5, 16])
def test_quantisation_is_off_by_half_a_step_at_most(bits):
    x = voice(1.0)
    step = 2 * np.abs(x).max() / 2**bits
    off = np.abs(channels.quantise(x, bits) - x)
    assert 0.4 * step < off.max() <= 0.51 * step
    assert len(np.unique(channels.quantise(x, bits))) <= 2**bits + 1
    assert not channels.quantise(0 * x, bits).any()


def test_gain_control_evens_levels_out_and_suppression_lowers_steady_noise():
    x = voice(4.0)
    uneven = x * np.repeat([0.1, 1.0], 32_000).astype(np.float32)
    evened = channels.gain_control(uneven, 0.3)
    ratio = np.std(evened[40_000:]) / np.std(evened[:30_000])
    assert ratio < 0.6 * np.std(uneven[40_000:]) / np.std(uneven[:30_000])
    hiss = np.concatenate([np.zeros(32_000), x]) + 0.003 * np.random.default_rng(0).normal(
        size=96_000
    )
    quiet = channels.noise_suppression(hiss.astype(np.float32), 1.0)
    assert np.std(quiet[2_000:30_000]) < 0.7 * np.std(hiss[2_000:30_000])
    assert np.corrcoef(quiet[32_000:], hiss[32_000:])[0, 1] > 0.98
