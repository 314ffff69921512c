"""Shapley values of bands and Owen values of patches: they add up and find what was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import WINDOW, Both, Linear, Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, explain
from explain.coalitions.game import Game
from explain.coalitions.shapley import shapley
from explain.coalitions.spectrogram import patches, spectrum
from explain.methods.owen_patches import owen

# --- bands ---


@pytest.mark.parametrize(("hz", "band"), [(500, 0), (1500, 1), (4500, 4), (7500, 7)])
def test_a_planted_tone_is_found_in_its_band(hz, band):
    wave = waveform(with_tone(0.2, 0.8, hz))
    explanation = explain(toy(Tone(hz)), wave, "shapley-bands")
    assert explanation.values.argmax() == band
    assert explanation.values[band] > 0.9 * (explanation.full - explanation.empty)
    assert explanation.residual < 1e-4
    assert explanation.forwards == 256 and explanation.stderr is None
    assert explanation.freqs == pytest.approx(np.arange(0, 8001, 1000), abs=32)
    assert explanation.times is None
    assert explanation.names[band].startswith(f"{explanation.freqs[band]:.0f} to ")


def test_five_bands_take_32_forwards():
    assert explain(toy(Tone(900)), waveform(hiss()), "shapley-bands", bands=5).forwards == 32


def test_everything_on_is_the_clip_and_everything_off_the_floor():
    weight, x = torch.from_numpy(hiss(seed=1)), torch.from_numpy(hiss(seed=2))
    detector = toy(Linear(weight))
    explanation = explain(detector, waveform(x), "shapley-bands", baseline="zeros")
    assert explanation.full == pytest.approx(float(x @ weight), abs=1e-5)
    assert explanation.empty == pytest.approx(0, abs=1e-6)


def test_bands_of_a_linear_detector_have_closed_form_values():
    # each band is worth what it says alone
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    game = patches(spectrum(detector, wave), 1, 4)
    alone = game.play(torch.eye(4, dtype=torch.bool)) - game.play(torch.zeros(1, 4) > 0)
    values = explain(detector, wave, "shapley-bands", bands=4).values
    assert values == pytest.approx(alone, abs=1e-6)


def test_the_level_is_set_before_a_band_is_masked():
    wave = waveform(with_tone(0.0, 1.0, 3500))
    ear = torch.from_numpy(np.sin(2 * np.pi * 500 * np.arange(WINDOW) / 16_000)).float()
    values = explain(toy(Linear(ear), level_normalise=True), wave, "shapley-bands").values
    assert np.abs(values[1:]).max() < 0.05 * abs(values[0])  # the edges of STFT bands leak


def test_bands_are_sampled_on_a_small_budget_and_still_add_up():
    detector, wave = toy(Tone(2500)), waveform(with_tone(0.2, 0.8, 2500))
    sampled = explain(detector, wave, "shapley-bands", budget=60)
    exact = explain(detector, wave, "shapley-bands")
    assert sampled.forwards <= 60 and sampled.residual < 1e-4
    assert np.abs(sampled.values - exact.values).max() < 4 * sampled.stderr.max() + 1e-6


def test_a_network_with_large_maps_gets_forty_forwards_and_still_finds_the_tone():
    net, wave = Tone(1500), waveform(with_tone(0.2, 0.8, 1500))
    net.windows_at_once = 1
    explanation = explain(toy(net), wave, "shapley-bands")
    assert explanation.forwards <= 40 and explanation.stderr is not None
    assert explanation.values.argmax() == 1 and explanation.residual < 1e-4
    assert explain(toy(net), wave, "shapley-bands", bands=32).forwards > 100  # or too few to draw


def test_a_network_of_many_weights_gets_fewer_forwards_and_still_finds_the_tone():
    net = Tone(1500)
    net.ballast = torch.nn.Linear(1000, 1001)
    explanation = explain(toy(net), waveform(with_tone(0.2, 0.8, 1500)), "shapley-bands")
    assert explanation.forwards <= 128 and explanation.stderr is not None
    assert explanation.values.argmax() == 1 and explanation.residual < 1e-4


@pytest.mark.parametrize("method", ["owen-patches", "lime-patches", "shap-partition"])
def test_a_network_of_many_weights_gets_fewer_forwards_by_patch_as_well(method):
    light, heavy = Tone(1500), Tone(1500)
    heavy.ballast = torch.nn.Linear(1000, 1001)
    spent = [explain(toy(net), waveform(hiss()), method).forwards for net in (heavy, light)]
    assert spent[0] <= 130 and spent[1] > 155


@pytest.mark.parametrize(
    "options", [{"bands": 1}, {"bands": 33}, {"baseline": "bank"}, {"budget": 20}]
)
def test_values_that_bands_do_not_take(options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), "shapley-bands", **options)


# --- each band by itself ---


def test_a_band_by_itself_takes_one_forward_and_finds_the_tone():
    detector, wave = toy(Tone(1500)), waveform(with_tone(0.2, 0.8, 1500))
    explanation = explain(detector, wave, "band-inclusion")
    assert explanation.forwards == 10 and explanation.stderr is None
    assert explanation.values.argmax() == 1 and explanation.residual < 1e-4


def test_bands_by_themselves_have_their_shapley_values_where_none_acts_on_another():
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    exact, alone = (explain(detector, wave, m) for m in ("shapley-bands", "band-inclusion"))
    assert alone.values == pytest.approx(exact.values, abs=1e-6)
    assert alone.names == exact.names and (alone.full, alone.empty) == (exact.full, exact.empty)


@pytest.mark.parametrize("options", [{"bands": 1}, {"bands": 33}, {"baseline": "bank"}])
def test_values_that_bands_by_themselves_do_not_take(options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), "band-inclusion", **options)


# --- patches ---


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_patch_is_found(seed):
    window, band = np.random.default_rng(seed).integers((8, 4))
    hz = 2000 * band + 1000
    x = with_tone(window / 8 + 0.02, (window + 1) / 8 - 0.02, hz, seed=seed)
    explanation = explain(toy(Tone(hz)), waveform(x), "owen-patches", seed=seed)
    assert explanation.values.shape == explanation.stderr.shape == (4, 8)
    found = np.unravel_index(explanation.values.argmax(), explanation.values.shape)
    assert found == (band, window)
    assert explanation.residual < 1e-4
    assert explanation.forwards <= 2 + 6 * 31
    assert explanation.times == pytest.approx(np.linspace(0, 1, 9), abs=0.01)


def test_an_additive_game_has_no_error():
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    one, two = (explain(detector, wave, "owen-patches", seed=seed) for seed in (0, 1))
    assert one.values == pytest.approx(two.values, abs=1e-6)
    assert one.stderr.max() < 1e-6


def outcomes_game(outcomes: np.ndarray) -> Game:
    n = len(outcomes).bit_length() - 1
    worth = torch.from_numpy(outcomes)
    return Game(n, lambda on: worth[(on.long() << torch.arange(n)).sum(dim=1)], batch=64)


def test_a_union_shares_what_it_is_worth_among_unions():
    # Owen 1977, the quotient game: three unions of two; union u is players 2 u and 2 u + 1
    outcomes = np.random.default_rng(0).normal(size=64)
    gains, full, empty = owen(outcomes_game(outcomes), 3, pairs=3000)
    index = np.arange(8)
    quotient = outcomes[sum(((index >> u) & 1) * (0b11 << 2 * u) for u in range(3))]
    shares = gains.mean(axis=0).reshape(3, 2).sum(axis=1)
    assert shares == pytest.approx(shapley(quotient), abs=0.05)
    assert gains.sum(axis=1) == pytest.approx(full - empty)
    assert (full, empty) == (outcomes[-1], outcomes[0])


def test_unions_of_one_are_the_shapley_value():
    outcomes = np.random.default_rng(1).normal(size=16)
    gains, _, _ = owen(outcomes_game(outcomes), 4, pairs=3000)
    spread = gains.std(axis=0) / np.sqrt(3000)
    assert (np.abs(gains.mean(axis=0) - shapley(outcomes)) < 5 * spread).all()


def test_an_interaction_of_two_windows_is_halved():
    first, second = torch.zeros(WINDOW), torch.zeros(WINDOW)
    first[2_500:3_500] = 0.1
    second[12_500:13_500] = 0.1
    wave = waveform(np.full(WINDOW, 0.02))
    detector = toy(Both(first, second))
    values = explain(detector, wave, "owen-patches", baseline="zeros").values.sum(axis=0)
    assert values[[1, 6]] == pytest.approx([2, 2], rel=0.05)


@pytest.mark.parametrize("options", [{"pairs": 1}, {"windows": 0}, {"bands": 99}, {"windows": 900}])
def test_values_that_patches_do_not_take(options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), "owen-patches", **options)


def test_a_clip_that_is_no_longer_than_a_frame_is_refused():
    with pytest.raises(ExplainError, match="too short"):
        explain(toy(Tone(1000)), waveform(hiss(400)), "shapley-bands")
