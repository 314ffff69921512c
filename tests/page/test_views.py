"""The page's HTML: verdicts, figures, facts and status, read as a person would read them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from measured import measurement, use_measured
from reading import text
from reports import report_of
from toys import Pooled, Tone, toy, waveform, with_tone

from detectors import Config, Detector
from detectors.assessment import Assessment
from detectors.config import Calibration, StretchRule
from detectors.registry import Version
from explain import METHODS, Explanation, explain
from explain.catalog import FREQUENCY, TIME, unasked
from explain.explanation import over_time
from explain.hit_rates import BAND
from page import describe, figures, views
from page.pipeline import explained_by
from page.rendering import signed
from page.report import EMPTY, Report
from page.spectrogram import loudest_cells, spectrogram
from page.views import nothing, panels

CALIBRATION = Calibration(scale=2.0, threshold=0.1, abstain=(-0.5, 0.6))
FIGURES = {"dev": {"eer": 0.2}, "test": {"eer": 0.14, "eer_ci": [0.11, 0.17]}}
TONE = toy(Tone(1000.0), calibration=CALIBRATION, figures=FIGURES)


def report(llr=3.0, others=(), seconds=1.0, **changes) -> Report:
    """A scored recording with a tone in its second half; `others` are (name, llr)."""
    clip = waveform(with_tone(seconds / 2, seconds, n=round(16_000 * seconds)))
    llrs = {"cnn": llr, **dict(others)}
    return report_of(clip, dict.fromkeys(llrs, TONE), llrs, **changes)


def with_seconds(scored: Report, made: Explanation, detector=None) -> Report:
    return replace(scored, seconds=describe.by_time(made, detector or TONE, "cnn"))


def with_bands(scored: Report, made: Explanation, detector=None) -> Report:
    view = describe.by_frequency(made, detector or TONE, "cnn", scored.span)
    return replace(scored, bands=view)


def explained(**changes) -> Report:
    scored = report(**changes)
    where = {"start_s": scored.wave.facts.seconds - 1}
    scored = with_seconds(scored, explain(TONE, scored.wave, **where))
    return with_bands(scored, explain(TONE, scored.wave, "integrated-gradients", **where))


@pytest.mark.parametrize(
    ("llr", "words", "p"),
    [(3.0, "Likely fake", "95 %"), (-3.0, "Likely real", "5 %"), (0.0, "Inconclusive", "50 %")],
)
def test_verdict_card_says_word_probability_and_error_rate(llr, words, p):
    said = text(views.verdict_card(report(llr)))
    assert words in said and f"P(fake) {p}" in said
    assert "14 in 100" in said and "11 to 17" in said


def test_prior_changes_verdict_and_probability_together():
    said = text(views.verdict_card(report(3.0).at(0.01)))
    assert "Likely real" in said and "if 1 in 100 recordings like this one are fake" in said


def test_disagreement_is_said_once_all_have_answered():
    scored = report(3.0, [("aasist", -3.0)])
    assert "The detectors disagree" in text(views.verdict_card(scored))
    waiting = replace(scored, waiting=("resnet",), step="resnet is listening")
    said = text(views.verdict_card(waiting))
    assert "disagree" not in said and "resnet is listening" in said


def test_who_is_listening_is_said_in_one_place_alone():
    waiting = replace(report(3.0), waiting=("resnet",), step="resnet is listening")
    assert "resnet is listening" in text(views.verdict_card(waiting))
    assert "listening" not in text(views.seconds_panel(waiting))


def test_marks_on_the_scale_are_named():
    said = text(views.verdict_card(report(3.0, [("aasist", -3.0)])))
    assert "cnn, whose verdict this is" in said and "other detectors" in said
    assert "other detectors" not in text(views.verdict_card(report(3.0)))


def test_a_recording_that_is_partly_fake_is_called_mixed_with_the_place():
    rule = StretchRule(spread=0.5, penalty=5)
    calibration = replace(CALIBRATION, scale=0.002, offset=-3.0, stretches=rule)
    clip = replace(waveform(with_tone(42, 51, n=75 * 16_000)), spans=((0.0, 75.0),))
    found = report_of(clip, {"cnn": toy(Tone(1000.0), calibration=calibration, figures=FIGURES)})
    said = text(views.verdict_card(found))
    assert "Mixed: most of it sounds real, 0:42 to 0:51 sounds fake" in said
    assert "This probability speaks of the whole recording" in said and "P(fake)" in said
    assert 'class="verdict-card unsure mixed"' in views.verdict_card(found)
    assert "Mixed" in text(views.detectors_panel(found))
    timeline = views.timeline_panel(found)
    assert "0:42 to 0:51 sounds fake" in text(timeline)
    assert timeline.count('<rect class="fake"') == timeline.count('<rect class="real"') + 1
    assert "Mixed" not in text(views.verdict_card(found.at(1e-6)))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no-speech", "No speech"),
        ("too-short", "Too short"),
        ("unreadable", "Not readable"),
        ("too-long", "Too long"),
    ],
)
def test_errors_are_verdicts_with_their_sentence(kind, words):
    failed = Report(step="", assessment=Assessment(error="Why it is <so>.", error_kind=kind))
    shown = panels(failed)
    assert words in text(shown["verdict"]) and "Why it is <so>." in text(shown["verdict"])
    assert "<so>" not in shown["verdict"]


def test_table_has_every_detector_with_version_rates_and_time():
    said = text(views.detectors_panel(report(3.0, [("aasist", -3.0)])))
    for piece in ("cnn", "aasist", "champion", "+3.00", "-3.00", "20.0 %", "14.0 %", "12 ms"):
        assert piece in said
    assert "The verdict is cnn's" in said


@pytest.mark.parametrize("method", unasked(TIME))
def test_every_method_that_may_come_first_is_drawn_and_told(method):
    scored = report()
    seconds = explain(toy(Pooled(), "log-mel"), scored.wave, method)
    html = views.seconds_panel(with_seconds(scored, seconds))
    below = html[html.index('class="area bars') : html.index('<p class="foot">')]
    drawn, told = below.count("<rect"), below.count('class="value"')
    assert drawn == len(over_time(seconds)[0]) >= 4 and 'class="chip' in html
    assert told == drawn if drawn <= 16 else 1 <= told <= 3  # else they would hide each other
    said = text(html)
    assert "LLR" in said and METHODS[method].title in said
    assert ("add up to" in said) == method.startswith("shapley")


@pytest.mark.parametrize(
    ("front_end", "gone", "start"),
    [
        ("prosody", "is passed over", "an ordinary voice"),
        ("raw", "is replaced by background noise", "noise alone"),
    ],
)
def test_it_is_said_what_becomes_of_what_is_left_out(front_end, gone, start):
    net = {"prosody": "prosody", "raw": "res-tssdnet"}[front_end]
    detector = Detector(Config("some", net, frontend=front_end, window=16_000))
    scored = report()
    html = views.seconds_panel(with_seconds(scored, explain(detector, scored.wave), detector))
    assert gone in text(html) and f"the step from {start} to" in text(html)


def test_lit_windows_point_where_the_evidence_is():
    shown = explained()
    html = views.seconds_panel(shown)
    assert shown.seconds.made.values[4:].min() > 0  # the tone is in the second half
    chips = re.findall(r'class="chip (\w+)" data-play="([\d.]+)"', html)
    assert 1 <= len(chips) <= 3  # what is strong stands together
    assert all(kind == "fake" and float(start) >= 0.5 for kind, start in chips)
    values = [float(v) for v in re.findall(r'class="value"[^>]*>([-+][\d.]+)<', html)]
    llrs = CALIBRATION.scale * shown.seconds.made.values
    np.testing.assert_allclose(values, llrs, atol=0.051)


def test_spectrogram_names_the_tones_place():
    html = views.bands_panel(explained())
    assert re.search(r"0\.[5-9] to [01]\.\d s, (0 to 1|1 to 2) kHz, towards fake", text(html))
    assert html.count("data:image/webp;base64,") == 2


def test_spectrogram_draws_coarse_maps_too():
    torch.manual_seed(0)
    detector = toy(Pooled(), frontend="log-mel", calibration=CALIBRATION)
    scored = report()
    shown = with_bands(scored, explain(detector, scored.wave, "gradcam"), detector)
    assert "Grad-CAM" in text(views.bands_panel(shown))


def test_values_by_band_alone_are_drawn_over_the_window_that_they_explain():
    scored = report(seconds=3.0)
    bands = explain(TONE, scored.wave, "shapley-bands", start_s=2.0)
    html = views.bands_panel(with_bands(scored, bands))
    assert re.search(r"Strongest: 0\.0 to 1\.0 kHz, \+[\d.]+ towards fake", text(html))
    assert 'data-from="2.000" data-to="3.000"' in html
    labels = [float(value) for value in re.findall(r"hz right[^>]*>([-+]?[\d.]+)<", html)]
    np.testing.assert_allclose(labels, CALIBRATION.scale * bands.values, atol=0.051)
    assert "They add up to the step from noise alone" in text(html)


def test_features_of_the_voice_stand_in_place_of_frequencies():
    scored = report()
    groups = replace(
        explain(TONE, scored.wave),
        method="shapley-groups",
        values=np.array([0.2, -0.7]),
        times=None,
        names=("jitter", "pauses"),
    )
    html = views.bands_panel(with_bands(scored, groups))
    assert "Which features of the voice decided" in text(html)
    assert text(html).index("pauses") < text(html).index("jitter")  # the larger one first


def measured(monkeypatch, axis, own, loudness):
    """Let the page know of an AUC for everything that it draws unasked."""
    everything = measurement(own, axis=axis, energy=loudness)
    use_measured(monkeypatch, **dict.fromkeys((*unasked(TIME), *unasked(FREQUENCY)), everything))


def analysed(**changes) -> Report:
    """A scored recording after everything that comes by itself."""
    scored = report(**changes)
    *_, last = explained_by(scored, scored.wave, "cnn", {"cnn": TONE})
    return last


def test_no_seconds_are_lit_where_no_method_is_better_than_knowing_nothing(monkeypatch):
    measured(monkeypatch, TIME, 0.58, 0.6)
    shown = analysed()
    assert "surely better than loudness" in text(views.seconds_panel(shown))
    assert "No seconds are lit" not in text(views.seconds_panel(replace(shown, step="Reading")))
    assert "No seconds are lit" not in text(views.seconds_panel(report()))


def test_seconds_that_are_right_too_rarely_wait_until_they_are_asked_for(monkeypatch):
    measured(monkeypatch, TIME, 0.77, 0.6)
    said = text(views.seconds_panel(analysed()))
    assert "No seconds are lit" in said and METHODS[unasked(TIME)[0]].title in said
    measured(monkeypatch, TIME, 0.8, 0.6)
    assert "No seconds are lit" not in text(views.seconds_panel(analysed()))


def test_the_spectrogram_stays_grey_where_no_method_beats_loudness(monkeypatch):
    measured(monkeypatch, BAND, 0.8, 0.79)
    shown = analysed()
    html = views.bands_panel(shown)
    assert "No frequencies are coloured" in text(html)
    assert 'class="ink"' in html and 'class="heat"' not in html
    assert views.bands_panel(replace(shown, step="Finding what decided")) == ""
    assert "bands" in panels(shown, last=replace(shown, step="Finding what decided"))
    measured(monkeypatch, BAND, 0.9, 0.79)
    # there was a method, and it could not explain this
    assert views.bands_panel(replace(analysed(), bands=None)) == ""


def test_of_a_long_recording_the_grey_spectrogram_shows_the_window_that_was_heard(monkeypatch):
    measured(monkeypatch, BAND, 0.7, 0.8)
    html = views.bands_panel(analysed(seconds=70.0))  # wider than an image may be
    start, end = re.search(r'data-from="([\d.]+)" data-to="([\d.]+)"', html).groups()
    assert float(end) - float(start) == pytest.approx(1.0)
    assert "where the evidence for fake is strongest" in text(html)


@pytest.mark.parametrize(
    ("bands", "said"), [(2, "0 to 4 kHz"), (4, "0 to 2 kHz"), (8, "1 to 2 kHz"), (16, "1 to 2 kHz")]
)
def test_the_strongest_band_is_told_as_wide_as_it_is(bands, said):
    values = np.zeros((bands, 4))
    values[1 * bands // 8, 2] = 1.0
    freqs = np.linspace(0, 8000, bands + 1)
    cells = Explanation(values=values, times=np.linspace(0, 1, 5), freqs=freqs, full=0.0)
    assert said in loudest_cells(cells)


def test_timeline_is_for_recordings_of_several_windows():
    assert views.timeline_panel(report()) == ""
    long = report(seconds=4.0)
    html = views.timeline_panel(long)
    assert "threshold" in html and 'data-to="4.000"' in html
    assert "strongest for fake from 3.0 to 4.0 s" in html or "2.5 to 3.5 s" in html


def test_long_recordings_say_which_part_is_explained():
    said = text(views.seconds_panel(explained(seconds=3.0)))
    assert "Shown is 2.0 to 3.0 s" in said


def test_evidence_that_is_all_zero_can_be_drawn():
    shown = explained()
    flat = replace(shown.seconds.made, values=np.zeros(8))
    assert "<b>0.00</b>" in views.seconds_panel(with_seconds(shown, flat))
    assert spectrogram(shown.wave, replace(shown.bands.made, values=0 * shown.bands.made.values))


def test_facts_escape_what_the_file_says_and_warn_about_weak_recordings():
    changes = {"codec": "<script>", "kbps": 24.4, "notes": ("truncated: decoded 1 of 2 s",)}
    clip = waveform(with_tone(0.5, 1.0))
    heard = report_of(replace(clip, facts=replace(clip.facts, **changes)), {"cnn": TONE})
    html = views.facts_panel(heard)
    said = text(html)
    assert "<script>" not in html and "compressed hard (<script>, 24 kbit/s)" in said
    assert "Truncated: decoded 1 of 2 s." in said
    assert all(sentence in said for sentence in heard.assessment.cautions)


def test_only_what_changed_is_sent_again():
    scored = report()
    assert set(panels(scored, last=EMPTY)) == set(nothing())
    assert set(panels(explained(), last=scored)) >= {"seconds", "bands"}
    assert "facts" not in panels(replace(scored, share=0.9), last=scored)


def test_status_names_versions_and_notices():
    versions = [Version("cnn", 4, ("champion",), {}), Version("aasist", 0, ("bundled",), {})]
    said = text(views.served(versions))
    assert "cnn version 4 (champion)" in said and "aasist (bundled)" in said
    assert "No detector" in text(views.served([]))
    assert "stays in use" in text(
        views.notices(["cnn: version 4 fails, so version 3 stays in use."])
    )


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 0.5), (0.0, 4.04), (12.3, 16.34), (0.0, 59.0), (0.0, 600.0)]
)
def test_time_axis_has_a_few_round_marks(start, end):
    marks = list(figures._ticks(start, end))
    assert 3 <= len(marks) <= 9 and marks[0] >= start and marks[-1] <= end


def test_clock():
    assert [figures.clock(s) for s in (0.0, 2.5, 65.0)] == ["0 s", "2.5 s", "1:05"]


@pytest.mark.parametrize(
    ("value", "said"), [(1.26, "+1.3"), (-0.041, "-0.04"), (-0.004, "0.00"), (0.0, "0.00")]
)
def test_values_have_their_sign_and_nothing_has_none(value, said):
    assert signed(value) == said
