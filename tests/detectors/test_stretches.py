"""Stretches that contradict the rest are found; chance is not, nor the level of all."""

import dataclasses

import numpy as np
import pytest

from detectors.config import Calibration, StretchRule
from detectors.detector import Window
from detectors.stretches import Stretch, find_stretches, in_words

WINDOW_S = 4.0
PENALTY = 6.0
CALIBRATION = Calibration(abstain=(-0.5, 0.5), stretches=StretchRule(1.0, PENALTY))


def recording(seconds, hop_s, rng, level=-2.0, planted=(), spread=1.0):
    """Windows of a voice whose LLR wanders, each the mean of the seconds that it holds."""
    fine = round(seconds * 10)
    llr = rng.standard_normal(fine) * spread * np.sqrt(10 * WINDOW_S) + level
    for start_s, end_s, height in planted:
        llr[round(10 * start_s) : round(10 * end_s)] += height
    sums = np.append(0, np.cumsum(llr))
    starts = np.arange(0, seconds - WINDOW_S + 1e-6, hop_s)
    size = round(10 * WINDOW_S)
    means = [(sums[round(10 * s) + size] - sums[round(10 * s)]) / size for s in starts]
    return [Window(s, s + WINDOW_S, m, WINDOW_S) for s, m in zip(starts, means, strict=True)]


@pytest.mark.parametrize(("seconds", "rounds"), [(20, 300), (60, 200), (300, 100), (1800, 40)])
def test_chance_alone_is_no_stretch_at_any_length(seconds, rounds):
    rng = np.random.default_rng(seconds)
    found = [find_stretches(recording(seconds, 1, rng, -0.3), CALIBRATION) for _ in range(rounds)]
    assert np.mean([bool(f) for f in found]) <= 0.05


@pytest.mark.parametrize("hop_s", [1, 2])
@pytest.mark.parametrize("seconds", [40, 300])
def test_a_planted_stretch_is_found_to_within_the_hop(hop_s, seconds):
    rng = np.random.default_rng(0)
    windows = recording(seconds, hop_s, rng, planted=[(20, 29, 5)], spread=0.2)
    calibration = dataclasses.replace(CALIBRATION, stretches=StretchRule(0.2, PENALTY))
    (found,) = find_stretches(windows, calibration)
    assert abs(found.start_s - 20) <= hop_s and abs(found.end_s - 29) <= hop_s
    assert found.verdict == "fake" and found.llr == pytest.approx(2.5, abs=1.2)


def test_every_stretch_of_several_is_found():
    rng = np.random.default_rng(1)
    planted = [(20, 26, 6), (50, 70, 6), (90, 94, 6)]
    windows = recording(120, 1, rng, planted=planted, spread=0.3)
    found = find_stretches(windows, CALIBRATION)
    assert [f.verdict for f in found] == ["fake"] * 3
    for f, (start_s, end_s, _) in zip(found, planted, strict=True):
        assert abs(f.start_s - start_s) <= 1.5 and abs(f.end_s - end_s) <= 1.5


def test_a_stretch_that_sounds_real_is_found_in_what_sounds_fake():
    windows = recording(60, 1, np.random.default_rng(0), 2.0, [(20, 29, -5)], 0.3)
    (found,) = find_stretches(windows, CALIBRATION)
    assert found.verdict == "real"


def test_a_level_that_all_windows_share_says_nothing():
    rng = np.random.default_rng(0)
    windows = recording(60, 1, rng, level=3.0, spread=0.3)
    assert find_stretches(windows, CALIBRATION) == ()


def test_the_stretch_and_the_rest_lie_on_different_sides():
    weak = recording(60, 1, np.random.default_rng(0), -6.0, [(20, 29, 5)], 0.3)
    assert find_stretches(weak, CALIBRATION) == ()
    assert len(find_stretches(weak, CALIBRATION, prior=0.95)) == 1


@pytest.mark.parametrize("place", [0, 10, 22, 24.5, 29, 50])
def test_silence_changes_nothing_but_the_times(place):
    windows = recording(60, 1, np.random.default_rng(0), planted=[(20, 29, 5)], spread=0.3)
    (before,) = find_stretches(windows, CALIBRATION)

    def later(seconds):
        return seconds + 600 * (seconds > place)

    # as windows lie in a recording whose silence was left out of what they hold
    moved = [
        dataclasses.replace(
            w, start_s=later(w.start_s + 1e-9), end_s=later(w.end_s), speech_s=w.speech_s
        )
        for w in windows
    ]
    (found,) = find_stretches(moved, CALIBRATION)
    assert found.llr == pytest.approx(before.llr)
    for now, then in ((found.start_s, before.start_s), (found.end_s, before.end_s)):
        assert min(abs(now - then), abs(now - then - 600)) <= 1


def test_windows_without_speech_have_no_vote():
    windows = recording(60, 1, np.random.default_rng(0), spread=0.3)
    mute = [
        dataclasses.replace(w, llr=9.0, speech_s=0.0) if 30 <= w.start_s < 40 else w
        for w in windows
    ]
    assert find_stretches(mute, CALIBRATION) == ()
    assert find_stretches([dataclasses.replace(w, speech_s=0.0) for w in mute], CALIBRATION) == ()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 12])
def test_short_recordings_have_no_stretches(n):
    windows = [Window(s, s + 4.0, (-1) ** s * 9.0, 4.0) for s in range(n)][:n]
    assert len(find_stretches(windows[:9], CALIBRATION)) == 0


def test_without_a_rule_nothing_is_said():
    windows = recording(60, 1, np.random.default_rng(0), planted=[(20, 29, 9)])
    assert find_stretches(windows, Calibration()) == ()


def test_more_speech_makes_the_whole_firmer_up_to_a_bound():
    calibration = Calibration(scale=2.0, offset=0.5, correlation=0.4)
    llr = [calibration.llr(1.0, seconds) for seconds in (0, 1, 2, 4, 15, 60, 3600)]
    assert llr[0] == 0 and llr[3] == 2.5
    assert llr == sorted(llr) and llr[-1] < 2.5 / 0.4
    assert Calibration().llr(1.0, 60) == Calibration().llr(1.0, 2) == 1.0


def test_what_is_not_calibrated_leaves_digests_as_they_were():
    old = {"scale": 2.0, "offset": 0.5, "threshold": 0.0, "abstain": (0.0, 0.0)}
    assert Calibration(scale=2.0, offset=0.5).settings() == old
    fitted = dataclasses.replace(CALIBRATION, correlation=0.4).settings()
    assert fitted.keys() == {*old, "correlation", "stretches"}


@pytest.mark.parametrize("rule", [{"spread": 0, "penalty": 1}, {"spread": 1}, {"spread": "x"}])
def test_a_rule_out_of_bounds_is_refused(rule):
    with pytest.raises(ValueError):
        Calibration(stretches=rule)


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(41.6, 51.2, "fake")], "most of it sounds real, 0:42 to 0:51 sounds fake"),
        (
            [(5, 9, "real"), (62, 70.4, "real"), (3600, 3605, "real")],
            "most of it sounds fake, 0:05 to 0:09, 1:02 to 1:10 and 1:00:00 to 1:00:05 sound real",
        ),
    ],
)
def test_stretches_are_said_in_english(spans, words):
    assert in_words([Stretch(a, b, 1.0, kind) for a, b, kind in spans]) == words
