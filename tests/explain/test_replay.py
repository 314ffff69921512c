"""Hear the evidence: on toys it is known what decides, so it is known which claims must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toys import RATE, WINDOW, Tone, hiss, toy, waveform, with_tone

from detectors.config import Calibration
from explain import ExplainError, explain
from explain.replay import SHARE, _strongest, evidence

HEARS_TONES = Calibration(threshold=100.0)
TONE = (0.3, 0.6)


def tone_detector(**changes):
    return toy(Tone(1000), calibration=HEARS_TONES, **changes)


@pytest.fixture(scope="module")
def explained():
    """The detector, a clip with a tone, and its exact explanation in eight windows."""
    detector, clip = tone_detector(), waveform(with_tone(*TONE))
    return detector, clip, explain(detector, clip)


@pytest.mark.parametrize(
    "method",
    ["shapley-time", "shapley-multigrid", "shapley-bands", "band-inclusion", "owen-patches"],
)
def test_the_planted_tone_decided_on_every_axis(method):
    detector, clip = tone_detector(), waveform(with_tone(*TONE))
    heard = evidence(detector, clip, explain(detector, clip, method))
    assert heard.verdict == "fake"
    assert heard.kept.llr > 0.5 * heard.original.llr
    assert heard.removed.llr < 0.5 * heard.original.llr
    assert heard.sufficient and heard.necessary
    assert heard.change == heard.removed.llr - heard.original.llr
    assert heard.sentence.startswith("The claim holds: without these parts the LLR moves")


def test_parts_are_where_the_tone_is():
    detector, clip = tone_detector(), waveform(with_tone(*TONE))
    heard = evidence(detector, clip, explain(detector, clip, "owen-patches"))
    for part in heard.parts:
        assert part.start_s < TONE[1] and part.end_s > TONE[0]
        assert part.low_hz <= 1100 and part.high_hz >= 900
        assert part.value > 0


def test_a_wrong_explanation_is_found_out(explained):
    detector, clip, right = explained
    wrong = replace(right, values=np.roll(right.values, 4))  # points half a second beside the tone
    heard = evidence(detector, clip, wrong)
    assert not heard.sufficient and not heard.necessary
    assert heard.sentence.startswith("The claim does not hold")


class Soothed(Tone):
    """The tone is evidence for real."""

    def forward(self, x):
        return -super().forward(x)


def test_evidence_for_real_is_evidence_too():
    calibration = Calibration(threshold=-100.0)
    detector, clip = toy(Soothed(1000), calibration=calibration), waveform(with_tone(*TONE))
    heard = evidence(detector, clip, explain(detector, clip, players=4))
    assert heard.verdict == "real"
    assert heard.sufficient and heard.necessary and heard.change > 0


def test_takes_are_the_clip_at_its_own_level():
    detector = tone_detector(level_normalise=True)
    x = 0.1 * with_tone(*TONE)
    heard = evidence(detector, waveform(x), explain(detector, waveform(x)))
    np.testing.assert_array_equal(heard.original.samples, x)
    tone = slice(round(0.42 * RATE), round(0.46 * RATE))  # well within a decisive window
    assert heard.kept.samples[tone] == pytest.approx(x[tone], abs=1e-6)
    start = slice(0, round(0.1 * RATE))  # not decisive: kept where the tone is removed
    assert heard.removed.samples[start] == pytest.approx(x[start], abs=1e-6)
    assert heard.original.llr == pytest.approx(detector.score(waveform(x)).llr, rel=1e-4)


def test_decisive_seconds_are_joined_with_pauses(explained):
    detector, clip, explanation = explained
    values = np.array([0, 5.0, 0, 0, 4.0, 4.0, 0, 0])
    heard = evidence(detector, clip, replace(explanation, values=values))
    assert [part.start_s for part in heard.parts] == [0.125, 0.5]
    assert len(heard.alone) == round((2 * 0.125 + 0.25) * RATE)


def test_a_long_clip_is_heard_where_it_was_explained():
    detector = tone_detector()
    clip = waveform(with_tone(3.2, 3.5, n=5 * WINDOW))
    explanation = explain(detector, clip, players=4)
    heard = evidence(detector, clip, explanation)
    first = round(explanation.times[0] * RATE)
    assert np.array_equal(heard.original.samples, clip.samples[first : first + WINDOW])
    assert heard.sufficient and heard.necessary
    assert all(part.start_s < 3.5 and part.end_s > 3.2 for part in heard.parts)


def test_bands_are_heard_where_they_were_explained():
    detector = tone_detector()
    clip = waveform(with_tone(1.2, 1.5, n=3 * WINDOW))
    bands = explain(detector, clip, "shapley-bands", bands=2, start_s=0.0)
    heard = evidence(detector, clip, replace(bands, values=np.abs(bands.values)), start_s=1.0)
    assert np.array_equal(heard.original.samples, clip.samples[WINDOW : 2 * WINDOW])


@given(arrays(np.float64, (3, 4), elements=st.floats(-10, 10)))
def test_decisive_are_the_fewest_parts_that_carry_their_share(towards):
    chosen = _strongest(towards)
    positive = np.maximum(towards, 0)
    assert (towards[chosen] > 0).all()
    assert positive[chosen].sum() >= SHARE * positive.sum() - 1e-9
    if chosen.any():
        weakest = towards[chosen].min()
        assert weakest >= towards[~chosen].max(initial=-np.inf)
        assert positive[chosen].sum() - weakest < SHARE * positive.sum() + 1e-9


def test_what_cannot_be_heard_is_said_in_a_sentence(explained):
    detector, clip, explanation = explained
    groups = replace(explanation, times=None, names=tuple("abcdefgh"))
    for asked, said in (
        (groups, "neither over time nor over frequency"),
        (replace(explanation, values=-np.abs(explanation.values)), "speaks for 'fake'"),
        (replace(explanation, times=np.linspace(0, 4, 9)), "explain one window"),
    ):
        with pytest.raises(ExplainError, match=said) as caught:
            evidence(detector, clip, asked)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    with pytest.raises(ExplainError, match="no samples"):
        evidence(detector, waveform(hiss(0)), explanation)
