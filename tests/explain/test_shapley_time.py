"""Exact Shapley values: the axioms, closed forms, and evidence planted where we know it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toys import WINDOW, Both, Linear, Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, explain
from explain.players import baseline, windows
from explain.shapley_time import coalitions, shapley

games = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, 2**n, elements=st.floats(-100, 100)))


def by_permutations(outcomes: np.ndarray, n: int) -> np.ndarray:
    """Shapley's other definition: the mean gain by each player over all orders of arrival."""
    gain = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        present = 0
        for player in order:
            gain[player] += outcomes[present | 1 << player] - outcomes[present]
            present |= 1 << player
    return gain / len(orders)


@given(games)
def test_values_add_up_to_the_whole_gain(outcomes):
    assert shapley(outcomes).sum() == pytest.approx(outcomes[-1] - outcomes[0], abs=1e-9)


@given(games)
def test_values_are_the_mean_gain_over_orders_of_arrival(outcomes):
    n = len(outcomes).bit_length() - 1
    assert shapley(outcomes) == pytest.approx(by_permutations(outcomes, n), abs=1e-9)


@given(arrays(np.float64, 8, elements=st.floats(-100, 100)))
def test_a_player_that_changes_nothing_gets_nothing(outcomes):
    without = np.concatenate([outcomes, outcomes])  # player 3 never matters
    assert shapley(without)[3] == 0
    assert shapley(without)[:3] == pytest.approx(shapley(outcomes), abs=1e-9)


@given(arrays(np.float64, 16, elements=st.floats(-100, 100)))
def test_equal_players_get_the_same(outcomes):
    index = np.arange(16)
    swapped = index & 0b1010 | (index & 1) << 2 | (index >> 2) & 1  # players 0 and 2 change places
    values = shapley((outcomes + outcomes[swapped]) / 2)
    assert values[0] == pytest.approx(values[2], abs=1e-9)


@given(arrays(np.float64, (2, 16), elements=st.floats(-100, 100)))
def test_values_of_a_sum_of_games_are_the_sum_of_values(pair):
    assert shapley(pair.sum(axis=0)) == pytest.approx(shapley(pair[0]) + shapley(pair[1]), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 3, 12])
def test_outcomes_that_make_no_game_are_refused(count):
    with pytest.raises(ValueError, match="outcomes"):
        shapley(np.zeros(count))


def test_coalitions_count_in_bits():
    assert coalitions(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]


@pytest.mark.parametrize("name", ["noise", "zeros"])
@pytest.mark.parametrize("players", [2, 5, 8])
def test_a_window_additive_detector_has_closed_form_values(players, name):
    weight = torch.from_numpy(hiss(seed=1))
    x = torch.from_numpy(hiss(seed=2))
    explanation = explain(toy(Linear(weight)), waveform(x), players=players, baseline=name)
    share = windows(WINDOW, players).weights(torch.eye(players, dtype=torch.bool)).double()
    expected = share @ (weight.double() * (x - baseline(x, name)).double())
    assert explanation.values == pytest.approx(expected.numpy(), abs=1e-5)
    assert explanation.residual < 1e-6
    assert explanation.full == pytest.approx(float(x @ weight), abs=1e-5)
    assert explanation.forwards == 2**players


def test_a_known_interaction_is_shared_equally():
    first, second = torch.zeros(WINDOW), torch.zeros(WINDOW)
    first[2_500:3_500] = 0.1  # inside the second of eight windows
    second[12_500:13_500] = 0.1  # inside the seventh
    x = np.full(WINDOW, 0.02)
    values = explain(toy(Both(first, second)), waveform(x), baseline="zeros").values
    assert values[[1, 6]] == pytest.approx([2.0, 2.0], rel=1e-4)  # half of (1000 * 0.002)^2
    assert np.delete(values, [1, 6]) == pytest.approx(np.zeros(6), abs=1e-5)


@pytest.mark.parametrize("seed", range(25))
def test_planted_evidence_is_found_in_every_draw(seed):
    spot = np.random.default_rng(seed).integers(8)
    x = with_tone(spot / 8 + 0.02, (spot + 1) / 8 - 0.02, seed=seed)
    explanation = explain(toy(Tone(1000)), waveform(x), seed=seed)
    assert np.argmax(explanation.values) == spot
    assert explanation.values[spot] > 0.9 * (explanation.full - explanation.empty)
    assert explanation.residual < 1e-4


def test_the_gain_of_a_clip_changes_nothing():
    detector = toy(Tone(1000), level_normalise=True)
    x = with_tone(0.3, 0.6)
    loud = explain(detector, waveform(x)).values
    assert np.abs(loud).max() > 1
    for decibel in (-30, 10):
        quiet = explain(detector, waveform(x * 10 ** (decibel / 20))).values
        assert quiet == pytest.approx(loud, rel=1e-3, abs=1e-3)


def test_a_mask_never_changes_what_remains():
    # Were the level set after masking, a loud window would shrink as the quiet ones fall silent.
    x = np.concatenate([hiss(8_000, level=0.01), hiss(8_000, level=0.3)])
    ear = torch.zeros(WINDOW)
    ear[1_000:1_500] = 1.0  # hears the first window only
    values = explain(toy(Linear(ear), level_normalise=True), waveform(x), players=2).values
    assert abs(values[0]) > 1e-3
    assert values[1] == pytest.approx(0, abs=1e-7)


def test_times_are_seconds_of_the_clip():
    times = explain(toy(Tone(1000)), waveform(hiss()), players=4).times
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_long_clip_is_explained_where_it_is_most_suspicious():
    n = 5 * WINDOW
    explanation = explain(toy(Tone(1000)), waveform(with_tone(3.2, 3.4, n=n)), players=5)
    assert explanation.times[0] <= 3.2 and explanation.times[-1] >= 3.4
    assert explanation.times[-1] - explanation.times[0] == pytest.approx(1.0)
    best = int(np.argmax(explanation.values))
    assert explanation.times[best] <= 3.3 <= explanation.times[best + 1]
    assert "strongest" in explanation.notes[0]
    assert "real" not in explanation.notes[0]


def test_the_note_says_so_when_the_verdict_is_real():
    detector = toy(Linear(torch.full((WINDOW,), -1.0)))
    notes = explain(detector, waveform(np.full(2 * WINDOW, 0.1)), players=2).notes
    assert "though the verdict is real" in notes[0]


def test_a_caller_can_choose_the_stretch():
    wave = waveform(hiss(5 * WINDOW))
    detector = toy(Tone(1000))
    assert explain(detector, wave, players=2, start_s=2.5).times == pytest.approx([2.5, 3.0, 3.5])
    assert explain(detector, wave, players=2, start_s=99).times == pytest.approx([4.0, 4.5, 5.0])


def test_a_short_clip_is_explained_in_its_own_time():
    x = with_tone(0.35, 0.45, n=9_600)  # 0.6 s, repeated to 1 s
    explanation = explain(toy(Tone(1000)), waveform(x), players=6)
    assert explanation.times == pytest.approx(np.linspace(0, 0.6, 7))
    assert np.argmax(explanation.values) in (3, 4)
    assert np.abs(explanation.values[[0, 1, 5]]).max() < 0.1 * explanation.values.max()
    detector = toy(Tone(1000))
    assert explanation.full == pytest.approx(detector.score(waveform(x)).llr, rel=1e-4)


@pytest.mark.parametrize("players", [-1, 0, 1, 13, 40])
def test_players_out_of_range_are_refused(players):
    with pytest.raises(ExplainError, match="2 to 12"):
        explain(toy(Tone(1000)), waveform(hiss()), players=players)


def test_the_cost_is_reported():
    explanation = explain(toy(Tone(1000)), waveform(hiss()), players=3)
    assert explanation.forwards == 8
    assert explanation.seconds > 0
    assert explanation.peak_mb > 50
