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


COUNTS = {
    "spoof": {"fake": 240, "inconclusive": 110, "real": 50},
    "bonafide": {"fake": 20, "inconclusive": 55, "real": 125},
}


@pytest.mark.parametrize(
    ("kind", "prior", "share"),
    [
        ("fake", 0.5, 0.6 / (0.6 + 0.1)),
        ("real", 0.5, 0.125 / (0.125 + 0.625)),
        ("fake", 0.1, 0.06 / (0.06 + 0.09)),
    ],
)
def test_of_recordings_with_a_verdict_a_share_is_fake_that_follows_the_prior(kind, prior, share):
    found, low, high = verdict.share_of_fakes(COUNTS, kind, prior)
    assert found == pytest.approx(share, abs=0.01) and low < found < high
    tenth = {label: {k: n // 10 for k, n in own.items()} for label, own in COUNTS.items()}
    _, wider, _ = verdict.share_of_fakes(tenth, kind, prior)
    assert wider < low


def test_a_verdict_that_hardly_any_clip_got_has_no_share():
    few = {"spoof": {"fake": 6, "real": 400}, "bonafide": {"fake": 1, "real": 200}}
    assert verdict.share_of_fakes(few, "fake") is None
    said = verdict.meaning("fake", "cnn", dict(test={"eer": 0.2, "verdicts": few}))
    assert said.startswith("cnn was wrong on 20 in 100 recordings")


def test_every_verdict_says_what_holds_for_it():
    figures = dict(test={"eer": 0.2, "verdicts": COUNTS})
    said = {kind: verdict.meaning(kind, "cnn", figures) for kind in COUNTS["spoof"]}
    assert "Of 100 recordings with this answer, about 85 are fake" in said["fake"]
    assert "about 17 are fake" in said["real"] and "never heard" in said["real"]
    assert said["inconclusive"].startswith("Too weak to call. Of 100")
    rare = verdict.meaning("fake", "cnn", figures, 0.1, "fake")
    assert "likely fake by their sound alone, about 39 are fake where 10 in 100 of all are" in rare


def test_a_verdict_that_the_prior_has_turned_claims_no_count():
    said = verdict.meaning("real", "cnn", dict(test={"verdicts": COUNTS}), 0.1, "inconclusive")
    assert said.startswith("By its sound alone it is inconclusive") and "not counted" in said


def test_the_usual_prior_is_said_in_words_that_are_no_times():
    assert verdict.prior_in_words(0.5) == "if half of such recordings are fake"


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
