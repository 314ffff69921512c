"""Scores of explanations: values worked out by hand, and what knowing nothing gets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics import auc
from explain.explanation import Explanation, rebin
from explain.measure import localisation

CELLS = np.array([3.0, -1.0, 2.0, 1.0])
TRUTH = np.array([True, False, False, True])


def explanation(values, times=None, freqs=None) -> Explanation:
    nan = math.nan
    return Explanation(values=np.asarray(values, float), times=times, freqs=freqs, full=nan)


def test_scores_by_hand():
    # pairs (changed, other): 3 > -1, 3 > 2, 1 > -1, 1 < 2
    assert auc(CELLS, TRUTH) == 0.75
    assert localisation.relevance_mass(CELLS, TRUTH) == pytest.approx(4 / 6)  # (3 + 1) of 3 + 2 + 1
    assert localisation.relevance_rank(CELLS, TRUTH) == 0.5  # the two highest are 3 and 2
    assert localisation.pointing(CELLS, TRUTH) == 1
    assert localisation.chance(TRUTH) == 0.5


def test_ties_count_in_proportion():
    flat = np.ones(4)
    assert auc(flat, TRUTH) == 0.5
    one = [True, False, False, False]
    assert (
        localisation.relevance_rank(flat, one) == 0.25 and localisation.pointing(flat, one) == 0.25
    )
    # two of the top three: the 2 is sure, of the three tied ones two are taken
    truth = np.array([True, True, True, False])
    assert localisation.relevance_rank([2, 1, 1, 1], truth) == pytest.approx((1 + 2 * 2 / 3) / 3)


def test_a_map_that_says_real_everywhere_has_no_mass_and_points_at_its_least_real_cell():
    assert localisation.relevance_mass(-np.ones(4), TRUTH) == 0
    assert localisation.pointing([-3, -2, -2, -1], TRUTH) == 1


def test_chance_levels_are_what_random_maps_get():
    rng = np.random.default_rng(0)
    truth = np.arange(40) < 12
    drawn = rng.random((4000, 40))
    for score, expected in (
        (auc, 0.5),
        (localisation.relevance_mass, localisation.chance(truth)),
        (localisation.relevance_rank, localisation.chance(truth)),
        (localisation.pointing, localisation.chance(truth)),
    ):
        assert np.mean([score(cells, truth) for cells in drawn]) == pytest.approx(
            expected, abs=0.02
        )
    assert localisation.relevance_mass(np.ones(40), truth) == pytest.approx(
        localisation.chance(truth)
    )


def test_curves_correlations_and_sensitivity_by_hand():
    assert localisation.curve_area([4, 2, 0]) == 2  # trapezoids 3 and 1
    assert localisation.curve_area([0, 1, 1, 1]) == pytest.approx((0.5 + 1 + 1) / 3)
    assert localisation.rank_correlation([1, 2, 3, 4], [1, 20, 300, 4000]) == pytest.approx(1)
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert localisation.rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)
    assert math.isnan(localisation.rank_correlation([1, 2], [5, 5]))
    assert localisation.max_sensitivity([3, 4], [[3, 4], [3, 5], [0, 0]]) == 1
    assert localisation.max_sensitivity([3, 4], [[3, 5]]) == pytest.approx(0.2)
    assert math.isnan(localisation.max_sensitivity([0, 0], [[1, 1]]))


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=12), st.integers(1, 40))
def test_rebinning_keeps_the_sum(values, cells):
    edges = np.linspace(0, 2, len(values) + 1)
    spread = rebin(values, edges, np.linspace(0, 2, cells + 1))
    assert spread.sum() == pytest.approx(sum(values), abs=1e-9)


def test_rebinning_by_hand():
    # 4 over one second and 1 over a quarter; half-second cells, the last half empty
    got = rebin([4, 1], [0, 1, 1.25], [0, 0.5, 1.0, 1.5, 2.0])
    assert got == pytest.approx([2, 2, 1, 0])
    tied = rebin([0.3, 0.7], [0, 0.5, 1], np.linspace(0, 1, 101))
    assert len(set(tied)) == 2  # the cells of one value stay equal to the last bit


def test_relevance_by_time_and_by_band():
    both = explanation([[1, 2], [3, 4]], np.array([0, 1, 2]), np.array([0, 4000, 8000]))
    assert localisation.relevance(both, "time", [0, 1, 2]) == pytest.approx([4, 6])
    assert localisation.relevance(both, "band", [0, 4000, 8000]) == pytest.approx([3, 7])
    bands = explanation([1, 2], None, np.array([0, 4000, 8000]))
    assert localisation.relevance(bands, "time", [0, 1]) is None
    assert localisation.relevance(explanation([1, 2, 3]), "band", [0, 8000]) is None


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_a_truth_without_both_kinds_is_refused(truth):
    with pytest.raises(ValueError, match="changed cells and others"):
        localisation.relevance_mass([1, 2], truth)


def test_what_is_not_finite_or_of_another_length_is_refused():
    with pytest.raises(ValueError, match="not a finite number"):
        localisation.pointing([1, math.nan], [True, False])
    with pytest.raises(ValueError, match="differ in shape"):
        localisation.relevance_rank([1, 2, 3], [True, False])
