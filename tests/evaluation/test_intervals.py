"""Intervals: whole clusters are drawn again, and the truth lies inside as often as it should."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import bootstrap, mean, resample
from evaluation.metrics import auc, eer


def gaussians(n, distance=1.8, seed=0):
    chance = np.random.default_rng(seed)
    labels = (np.arange(n) < n / 2).astype(int)
    return chance.normal(size=n) + distance * labels, labels


def test_bootstrap_counts_speakers_and_not_clips():
    scores, labels = gaussians(60)
    speakers = [f"{i:02}" for i in range(60)]
    once = bootstrap(eer, scores, labels, speakers, rounds=200)
    copied = bootstrap(
        eer, np.repeat(scores, 9), np.repeat(labels, 9), np.repeat(speakers, 9), rounds=200
    )
    assert copied == pytest.approx(once)
    assert once[0] < eer(scores, labels) < once[1]


def test_bootstrap_rounds_hold_both_labels_and_whole_speakers():
    labels = [1, 1, 0, 0, 0, 0, 1, 0]
    speakers = ["s", "s", "a", "b", "b", "c", "both", "both"]
    scores = np.arange(8)
    seen = []

    def metric(drawn, drawn_labels):
        seen.append(sorted(drawn.tolist()))
        assert set(drawn_labels) == {0, 1}
        return 0.0

    bootstrap(metric, scores, labels, speakers, rounds=50)
    assert len({tuple(round_) for round_ in seen}) > 5
    for drawn in seen:
        assert drawn.count(3) == drawn.count(4)  # the two clips of b
        assert drawn.count(0) == drawn.count(1) == 1  # the one voice with spoofs only


def test_bootstrap_follows_the_seed():
    scores, labels = gaussians(80)
    speakers = [str(i // 2) for i in range(80)]
    intervals = [
        bootstrap(auc, scores, labels, speakers, rounds=50, seed=seed) for seed in (1, 1, 2)
    ]
    assert intervals[0] == intervals[1] != intervals[2]


def ends(values, clusters=None) -> tuple[float, float]:
    row = mean(values, clusters)
    return row["low"], row["high"]


def test_the_interval_of_a_mean_covers_it_and_narrows_with_clips():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        low, high = ends(rng.normal(1, 2, 50))
        covered += low <= 1 <= high
    assert 88 <= covered <= 99
    few, many = (np.diff(ends(rng.normal(0, 1, n))) for n in (10, 1000))
    assert many < few / 3
    assert ends([0.5] * 9) == (0.5, 0.5)


def test_the_interval_of_a_mean_draws_whole_clips():
    values = np.random.default_rng(0).normal(0, 1, 20)
    clips = [f"clip {n:02}" for n in range(20)]
    copied = ends(np.repeat(values, 5), list(np.repeat(clips, 5)))
    assert copied == pytest.approx(ends(values, clips))  # copies bring no certainty
    assert np.diff(copied) > 1.5 * np.diff(ends(np.repeat(values, 5)))
    assert ends([0, 1, 1, 1], ["a", "b", "b", "b"]) == (0, 1)


def test_a_mean_is_a_row_under_its_names_and_counts_what_is_there():
    row = mean([1.0, None, 3.0], metric="auc")
    assert (row["metric"], row["value"], row["n"]) == ("auc", 2.0, 2)
    assert mean([], metric="auc") == {
        "metric": "auc", "value": None, "low": None, "high": None, "n": 0,
    }  # fmt: skip
    assert mean([2.0])["low"] is None and mean([2.0, 3.0], ["a", "a"])["high"] is None


def test_clusters_are_drawn_whole_and_as_often_as_there_are():
    times = resample(["a", "a", "b", "c"], rounds=40)
    assert times.shape == (40, 4) and (times[:, 0] == times[:, 1]).all()
    assert (times[:, 1:].sum(axis=1) == 3).all()
