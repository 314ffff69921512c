"""Shapley values of games that are given as tables: the axioms, and how well samples do."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from explain.coalitions.game import Game, all_coalitions
from explain.coalitions.shapley import alone, kernel_shap, shapley, solve

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
    assert all_coalitions(2).tolist() == [
        [False, False],
        [True, False],
        [False, True],
        [True, True],
    ]


# --- KernelSHAP ---


def game_of(outcomes: np.ndarray) -> Game:
    n = len(outcomes).bit_length() - 1
    worth = torch.from_numpy(outcomes)
    return Game(n, lambda on: worth[(on.long() << torch.arange(n)).sum(dim=1)], batch=64, each=1)


def pairwise_game(n: int, seed: int) -> np.ndarray:
    """Outcomes with an own worth and random interactions of two and three players."""
    rng = np.random.default_rng(seed)
    on = all_coalitions(n).numpy().astype(float)
    a, b, c = (rng.integers(n, size=6) for _ in range(3))
    return 0.5 + on @ rng.normal(size=n) + (on[:, a] * on[:, b] * on[:, c]) @ rng.normal(size=6)


@settings(max_examples=30)
@given(st.integers(5, 9), st.integers(0, 99))
def test_sampling_an_additive_game_leaves_no_doubt(n, seed):
    worth = np.random.default_rng(seed).normal(size=n)
    outcomes = 2 + all_coalitions(n).numpy() @ worth
    solution = kernel_shap(game_of(outcomes), 6 * n, seed)
    assert solution.values == pytest.approx(worth, abs=1e-9)
    assert solution.stderr == pytest.approx(np.zeros(n), abs=1e-9)


def test_sampled_values_are_exact_within_their_standard_errors():
    misses = []
    for seed in range(40):
        outcomes = pairwise_game(8, seed)
        solution = kernel_shap(game_of(outcomes), 120, seed)
        misses.append((solution.values - shapley(outcomes)) / solution.stderr.clip(min=1e-9))
        assert solution.residual < 1e-9
    assert 0.6 < np.std(misses) < 1.4  # standard errors are neither too small nor too large
    assert abs(np.mean(misses)) < 0.2


def test_more_budget_means_less_error():
    def error(budget: int) -> float:
        games = [pairwise_game(10, seed) for seed in range(12)]
        found = [kernel_shap(game_of(g), budget, n).values for n, g in enumerate(games)]
        return float(np.mean([np.abs(f - shapley(g)).mean() for f, g in zip(found, games)]))  # noqa: B905

    assert error(600) < 0.6 * error(60)


def test_all_coalitions_are_played_where_they_fit():
    game = game_of(pairwise_game(5, 0))
    solution = solve(game, budget=32)
    assert game.forwards == 32
    assert solution.stderr is None
    assert solution.values == pytest.approx(shapley(pairwise_game(5, 0)))


# --- each player alone ---


@settings(max_examples=30)
@given(st.integers(2, 9), st.integers(0, 99))
def test_players_alone_have_their_shapley_values_where_none_acts_on_another(n, seed):
    worth = np.random.default_rng(seed).normal(size=n)
    game = game_of(2 + all_coalitions(n).numpy().astype(float) @ worth)
    solution = alone(game)
    assert game.forwards == n + 2
    assert solution.values == pytest.approx(worth)


def test_what_players_do_together_is_shared_alike():
    outcomes = np.random.default_rng(3).normal(size=64)
    solution = alone(game_of(outcomes))
    assert solution.residual < 1e-9 and solution.stderr is None
    gains = [outcomes[1 << i] - outcomes[0] for i in range(6)]
    assert np.ptp(solution.values - gains) == pytest.approx(0, abs=1e-9)
