"""Every metric against values computed by hand, by brute force or from theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from evaluation import metrics

# Sorted, the labels read 0 0 0 1 1 0 1 1: PAV pools [1 1 0], so that the corners of the hull are
# (false alarm, miss) = (1, 0), (1/4, 0), (0, 1/2), (0, 1).
SCORES = [0, 1, 2, 5, 3, 4, 6, 7]
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]


def gaussians(n=4000, distance=1.8, spoofs=0.5, seed=0):
    chance = np.random.default_rng(seed)
    labels = (np.arange(n) < n * spoofs).astype(int)
    return chance.normal(size=n) + distance * labels, labels


def test_hull_by_hand():
    hull = metrics.roc_hull(SCORES, LABELS)
    assert hull.false_alarm == pytest.approx([1, 1 / 4, 0, 0])
    assert hull.miss == pytest.approx([0, 0, 1 / 2, 1])


def test_eer_by_hand():
    # Steps are (1/4, 0), then (1/4, 1/4) above 3, (1/4, 1/2) above 4: they meet at 1/4.
    assert metrics.eer(SCORES, LABELS) == pytest.approx(1 / 4)
    # On the hull, from (1/4, 0) to (0, 1/2): 1/4 - s/4 = s/2, so s = 1/3 of the way, at 1/6.
    assert metrics.eer_hull(SCORES, LABELS) == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("scores", "labels", "stepped", "hull"),
    [
        ([0, 1, 2, 3], [0, 0, 1, 1], 0, 0),
        ([3, 2, 1, 0], [0, 0, 1, 1], 1, 0.5),
        ([1, 1, 1, 1], [0, 0, 0, 1], 0.5, 0.5),
        ([0, 1, 1, 2], [0, 0, 1, 1], 1 / 4, 1 / 4),  # a tie is half an error on each side
    ],
)
def test_eer_at_its_limits_and_with_ties(scores, labels, stepped, hull):
    assert metrics.eer(scores, labels) == pytest.approx(stepped)
    assert metrics.eer_hull(scores, labels) == pytest.approx(hull)


def official_eer(bonafide, spoof):
    """compute_det_curve and compute_eer of the ASVspoof packages, whose scores point to real."""
    scores = np.concatenate([bonafide, spoof])
    order = np.argsort(scores, kind="mergesort")
    labels = np.concatenate([np.ones(len(bonafide)), np.zeros(len(spoof))])[order]
    frr = np.concatenate([[0], np.cumsum(labels) / len(bonafide)])
    far = np.concatenate(
        [[1], 1 - (np.arange(1, len(scores) + 1) - np.cumsum(labels)) / len(spoof)]
    )
    at = np.argmin(np.abs(frr - far))
    return (frr[at] + far[at]) / 2


@pytest.mark.parametrize("seed", range(20))
def test_eer_is_that_of_the_challenges(seed):
    scores, labels = gaussians(50 + 13 * seed, 1.0 + seed / 20, 0.3 + seed / 50, seed)
    wanted = official_eer(-scores[labels == 0], -scores[labels == 1])
    # at a tie of two thresholds the packages take the first that they meet
    assert metrics.eer(scores, labels) == pytest.approx(wanted, abs=1 / labels.sum())
    assert metrics.eer_hull(scores, labels) <= metrics.eer(scores, labels) + 1 / len(labels)


def test_eer_of_two_gaussians_is_that_of_theory():
    scores, labels = gaussians(40_000, spoofs=0.2)
    assert metrics.eer(scores, labels) == pytest.approx(norm.cdf(-0.9), abs=0.005)


def test_auc_by_hand():
    assert metrics.auc(SCORES, LABELS) == pytest.approx(14 / 16)  # 3 and 4 lose to 5
    assert metrics.auc([1, 1, 2], [0, 1, 1]) == pytest.approx(1.5 / 2)


def test_cllr_by_hand():
    assert metrics.cllr([0, 0, 0], [1, 0, 0]) == pytest.approx(1)
    # log2(1 + e^-1) for the spoof, the mean of log2(1 + e^-2) and log2(1 + e^3) for the others
    spoof, real = math.log2(1 + math.exp(-1)), [math.log2(1 + math.exp(x)) for x in (-2, 3)]
    assert metrics.cllr([1, -2, 3], [1, 0, 0]) == pytest.approx((spoof + sum(real) / 2) / 2)
    assert math.isfinite(metrics.cllr([-5000, 5000], [1, 0]))


def test_min_cllr_by_hand():
    # Only the pooled block costs: odds 2:1, half of the spoofs and a quarter of the bona fide.
    expected = (math.log2(3 / 2) / 2 + math.log2(3) / 4) / 2
    assert metrics.min_cllr(SCORES, LABELS) == pytest.approx(expected)
    assert metrics.min_cllr([0, 1], [0, 1]) == 0
    assert metrics.min_cllr([1, 0], [0, 1]) == pytest.approx(1)


def test_min_cllr_is_the_floor_of_cllr():
    scores, labels = gaussians()
    perfect = 1.8 * scores - 1.8**2 / 2
    floor = metrics.min_cllr(perfect, labels)
    assert floor <= metrics.cllr(perfect, labels) == pytest.approx(floor, abs=0.02)
    assert metrics.cllr(3 * perfect + 1, labels) > floor + 0.1
    assert metrics.min_cllr(3 * perfect + 1, labels) == pytest.approx(floor)


def asvspoof5_costs(bonafide_llr, spoof_llr, threshold):
    """The plan's own terms: scores for bona fide, rejected below the threshold."""
    rejected = np.mean(np.asarray(bonafide_llr) < threshold)
    accepted = np.mean(np.asarray(spoof_llr) >= threshold)
    return (1 * 0.95 * rejected + 10 * 0.05 * accepted) / 0.5


def test_dcf_by_hand():
    # Corners of the hull cost 1.9, 1.9/4, 0.5 and 1: the cheapest is 0.475.
    assert metrics.min_dcf(SCORES, LABELS) == pytest.approx(0.475)
    # The Bayes threshold is log 1.9 = 0.642: one of two bona fide above, one of four spoofs below.
    llr, labels = [0.7, 0.6, 0.6, 0.7, 2, 3], [0, 0, 1, 1, 1, 1]
    assert metrics.act_dcf(llr, labels) == pytest.approx((0.95 / 2 + 0.5 / 4) / 0.5)
    assert metrics.act_dcf([9, 9], [0, 1]) == pytest.approx(1.9)
    assert metrics.act_dcf([-9, -9], [0, 1]) == pytest.approx(1.0)


def test_dcf_agrees_with_the_challenges_definition():
    scores, labels = gaussians(500, spoofs=0.7)
    bonafide, spoof = -scores[labels == 0], -scores[labels == 1]  # their scores point the other way
    every = [-math.inf, *np.sort(-scores), math.inf]
    best = min(asvspoof5_costs(bonafide, spoof, t) for t in every)
    assert metrics.min_dcf(scores, labels) == pytest.approx(best)
    bayes = asvspoof5_costs(bonafide, spoof, -math.log(1.9))
    assert metrics.act_dcf(scores, labels) == pytest.approx(bayes)
    assert bayes >= best


def test_decisions_at_a_threshold_by_hand():
    scores = [0.5, 0.1, 0.9, 0.5, 0.7, 0.2, 0.9, 0.8]
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    result = metrics.at_threshold(scores, labels, 0.5)  # a score at the threshold is no spoof
    assert result == {
        "hter": pytest.approx((1 / 4 + 1 / 4) / 2),
        "accuracy": 6 / 8,
        "sensitivity": 3 / 4,
        "specificity": 3 / 4,
        "ppv": 3 / 4,
        "npv": 3 / 4,
        "confusion": {"tp": 3, "fn": 1, "fp": 1, "tn": 3},
    }


def test_predictive_values_are_none_where_nothing_was_called_so():
    assert metrics.at_threshold([0, 1], [0, 1], 2)["ppv"] is None
    assert metrics.at_threshold([0, 1], [0, 1], -1)["npv"] is None
    assert metrics.at_threshold([0, 1, 1], [0, 1, 1], 2)["hter"] == 0.5


@pytest.mark.parametrize("spoofs", [0.1, 0.5, 0.9])
def test_calibration_finds_the_llr_whatever_the_mix(spoofs):
    scores, labels = gaussians(60_000, distance=2, spoofs=spoofs)  # LLR = 2 s - 2
    scale, offset = metrics.fit_calibration(scores * 10 + 300, labels)
    assert scale * 10 == pytest.approx(2, rel=0.06)
    assert scale * 300 + offset == pytest.approx(-2, abs=0.12)


def test_calibration_stays_finite_and_never_turns_scores_round():
    scale, offset = metrics.fit_calibration([0, 1, 2, 3], [0, 0, 1, 1])
    assert 0 < scale < 10
    assert scale * 1.5 + offset == pytest.approx(0, abs=1e-4)
    scores, labels = gaussians()
    scale, offset = metrics.fit_calibration(-scores, labels)
    assert 0 < scale < 0.01
    assert metrics.cllr(-scale * scores + offset, labels) == pytest.approx(1, abs=0.01)


def test_eer_threshold_is_halfway_between_the_scores():
    assert metrics.eer_threshold([0, 1, 4, 5], [0, 0, 1, 1]) == 2.5
    assert metrics.eer_threshold([0, 3, 2, 5], [0, 0, 1, 1]) == 2.5
    scores, labels = gaussians(20_000, distance=3)
    assert metrics.eer_threshold(scores, labels) == pytest.approx(1.5, abs=0.05)


# At 0 a fifth of either class is on the wrong side.
BAND_LLR = [-2] * 8 + [0.5, 1.0] + [2] * 8 + [-0.5, -1.0]
BAND_LABELS = [0] * 10 + [1] * 10


def test_abstention_band_by_hand():
    assert metrics.eer_threshold(BAND_LLR, BAND_LABELS) == 0
    # Above 0.5 "fake" is wrong in 0.1 / (0.1 + 0.8) = 11 % of the cases, above 1 in none.
    assert metrics.abstention_band(BAND_LLR, BAND_LABELS) == (-1.0, 1.0)
    assert metrics.abstention_band(BAND_LLR, BAND_LABELS, error=0.15) == (-0.5, 0.5)
    assert metrics.abstention_band(BAND_LLR, BAND_LABELS, error=0.2) == (0, 0)


def test_abstention_band_has_widest_limits():
    hopeless = [-9] * 7 + [9] * 3 + [9] * 7 + [-9] * 3
    limit = math.log(9)
    assert metrics.abstention_band(hopeless, BAND_LABELS) == pytest.approx((-limit, limit))
    noise = np.random.default_rng(0).normal(size=300)
    band = metrics.abstention_band(noise, np.arange(300) % 2)
    assert -limit <= band[0] < band[1] <= limit


def test_abstention_band_of_a_good_detector_is_empty():
    assert metrics.abstention_band([-2, -1, 1.5, 2], [0, 0, 1, 1]) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1, 2], [1, 1], "both"),
        ([1, 2], [0, 2], "both"),
        ([1, math.nan], [0, 1], "finite"),
        ([1, math.inf], [0, 1], "finite"),
        ([1, 2, 3], [0, 1], "equally long"),
        ([], [], "both"),
    ],
)
def test_what_gives_no_rate_is_refused(scores, labels, message):
    for metric in (
        metrics.eer,
        metrics.auc,
        metrics.cllr,
        metrics.min_dcf,
        metrics.fit_calibration,
    ):
        with pytest.raises(ValueError, match=message):
            metric(scores, labels)
