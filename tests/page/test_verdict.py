"""Words of the verdict: thresholds, priors, error rates and agreement."""

import math

import pytest

from detectors.config import Calibration
from page import verdict

BAND = Calibration(threshold=0.2, abstain=(-0.5, 1.0))


@pytest.mark.parametrize(
    ("llr", "kind"),
    [(-3.0, "real"), (-0.5, "real"), (-0.4, "inconclusive"), (0.9, "inconclusive"), (1.0, "fake")],
)
def test_band_of_abstention_decides_before_the_threshold(llr, kind):
    assert BAND.verdict(llr) == kind


def test_without_a_band_the_threshold_decides():
    line = Calibration(threshold=0.2)
    assert [line.verdict(llr) for llr in (0.19, 0.21)] == ["real", "fake"]


def test_prior_moves_the_verdict_by_its_log_odds():
    prior = 1 / (1 + math.exp(2.0))  # two nats against fake
    assert BAND.verdict(2.9, prior) == BAND.verdict(0.9) == "inconclusive"
    assert BAND.verdict(3.1, prior) == BAND.verdict(1.1) == "fake"


@pytest.mark.parametrize(
    ("p", "words"), [(0.999, "over 99 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.876, "88 %")]
)
def test_certainty_is_not_claimed(p, words):
    assert verdict.percent(p) == words


def test_error_rates_are_the_detectors_own_and_prefer_what_it_never_heard():
    both = dict(dev={"eer": 0.3}, test={"eer": 0.141, "eer_ci": [0.118, 0.172]})
    said = verdict.error_rates("cnn", both)
    assert "14 in 100" in said and "12 to 17" in said and "never heard" in said
    assert "30 in 100" in verdict.error_rates("cnn", dict(dev={"eer": 0.3}))
    assert "has not been measured" in verdict.error_rates("cnn", {})


def test_both_kinds_of_error_are_told_where_they_were_counted():
    counted = {"eer": 0.175, "sensitivity": 0.78, "specificity": 0.84}
    said = verdict.error_rates("fusion", dict(test=counted))
    assert "16 in 100 real voices fake and missed 22 in 100 fakes" in said
    assert "never heard" in said and "18" not in said


def test_inconclusive_says_why():
    assert verdict.meaning("inconclusive", "cnn", {}).startswith("Too weak to call")


@pytest.mark.parametrize(
    ("opinions", "sentence"),
    [
        ([("cnn", "fake")], ""),
        ([("cnn", "fake"), ("aasist", "fake")], "Both detectors say fake."),
        ([("a", "real"), ("b", "real"), ("c", "real")], "All three detectors say real."),
        (
            [("cnn", "fake"), ("resnet", "real"), ("aasist", "fake")],
            "The detectors disagree: cnn and aasist say fake, resnet says real. "
            "Treat the verdict with care.",
        ),
        (
            [("cnn", "mixed"), ("resnet", "real")],
            "The detectors agree only in part: cnn finds it mixed, resnet says real.",
        ),
        ([("cnn", "mixed"), ("aasist", "mixed")], "Both detectors find it mixed."),
        (
            [("cnn", "inconclusive"), ("resnet", "real"), ("aasist", "real")],
            "The detectors agree only in part: cnn cannot tell, resnet and aasist say real.",
        ),
    ],
)
def test_agreement(opinions, sentence):
    assert verdict.agreement(opinions) == sentence


def test_every_kind_of_audio_error_has_words():
    kinds = {"unreadable", "empty", "no-audio", "not-finite", "too-short", "no-speech", "too-long"}
    assert kinds | {"fake", "real", "inconclusive", "mixed"} == verdict.WORDS.keys()
