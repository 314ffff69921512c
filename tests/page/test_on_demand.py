"""What runs on demand: progress, stopping, the evidence to hear, and what is shown of it."""

import re
import threading
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from measured import measurement, use_measured
from reading import text
from reports import report_of
from toys import RATE, Tone, toy, waveform, with_tone
from voice import voice

from detectors.config import Calibration
from detectors.errors import HearsayError
from detectors.registry import Version
from explain import ExplainError, Explanation, explain
from explain.audit import Variant
from explain.replay import Part
from page import describe, figures, on_demand, views
from page.on_demand import MethodRun, Stopped, audit_part, in_service, replay, run_method, watched
from page.on_demand_panel import OnDemandPanel
from page.report import Report
from page.turns import Turns

CLIP = waveform(with_tone(0.3, 0.6))
ADDRESSES = dict.fromkeys(views.TAKES, "file?a=1&b=2")


TONE = toy(Tone(1000.0), calibration=Calibration(threshold=500.0))


def report(clip=CLIP, detector=TONE) -> Report:
    return report_of(clip, {"cnn": detector})


def done(made: Explanation) -> MethodRun:
    return MethodRun("cnn", made.method, 1.0, view=describe.on_demand(made, TONE, "cnn"))


def test_progress_is_told_while_it_works_and_the_result_at_the_end(monkeypatch):
    monkeypatch.setattr(on_demand, "EVERY_S", 0.01)
    seen = threading.Event()

    def work(progress):
        progress(0.5)
        seen.wait(10)
        return "done"

    steps = watched(work, threading.Event())
    told = next(step for step in steps if step == 0.5)
    seen.set()
    assert told == 0.5 and list(steps)[-1] == "done"


def test_a_stop_ends_the_work():
    stop = threading.Event()

    def work(progress):
        stop.set()
        progress(0.1)
        raise AssertionError("it went on")

    with pytest.raises(Stopped):
        list(watched(work, stop))


def test_who_stops_listening_stops_the_work(monkeypatch):
    monkeypatch.setattr(on_demand, "EVERY_S", 0.01)
    stop = threading.Event()

    def work(progress):
        while True:
            progress(0.1)

    steps = watched(work, stop)
    next(steps)
    steps.close()  # returns only when the thread has ended
    assert stop.is_set()


def run(method, stop=None):
    return list(run_method(report(), CLIP, TONE, "cnn", method, stop or threading.Event()))


def test_a_run_ends_with_the_explanation():
    runs = run("shapley-time")
    assert isinstance(runs[-1].view.made, Explanation) and runs[-1].share == 1.0
    assert all(now.view is None for now in runs[:-1])


def test_a_run_that_was_stopped_or_refused_says_so():
    stop = threading.Event()
    stop.set()
    *_, last = run("shapley-bands", stop)
    assert last.error == "Stopped." and last.view is None
    *_, last = run("gradcam")
    assert "does not explain" in last.error
    assert "does not explain" in text(views.method_card(last, CLIP))


@pytest.mark.parametrize(
    ("method", "sign"),
    [
        ("shapley-time", 'class="area bars"'),
        ("shapley-bands", '<dl class="names">'),
        ("owen-patches", 'class="heat"'),
    ],
)
def test_every_kind_of_explanation_is_drawn(method, sign):
    html = views.method_card(run(method)[-1], CLIP)
    assert sign in html
    assert "not measured yet" in text(html) and "passes" in text(html)


def test_a_map_that_finds_no_bands_says_so(monkeypatch):
    made = explain(TONE, CLIP, "owen-patches")
    for by_band, warned in ((0.65, True), (0.8, False)):
        banded = measurement(by_band, axis="band", within=0.1, energy=0.6)
        use_measured(monkeypatch, owen_patches=measurement(0.8, energy=0.6) | banded)
        said = text(views.method_card(done(made), CLIP))
        assert ("no better than loudness" in said) is warned


def test_voice_features_are_drawn_by_name_the_largest_first():
    groups = replace(
        explain(TONE, CLIP, players=3),
        times=None,
        names=("pitch", "<jitter>", "pauses"),
        values=np.array([0.5, -2.0, 1.0]),
        stderr=np.array([0.1, 0.2, 0.3]),
        notes=("R2 of the surrogate: 0.9.",),
    )
    html = views.method_card(done(groups), CLIP)
    said = text(html)
    assert said.index("<jitter>") < said.index("pauses") < said.index("pitch")
    assert "<jitter>" not in html
    assert "Standard errors are up to 0.3" in said and "R2 of the surrogate: 0.9." in said


def test_decisive_parts_that_follow_on_each_other_are_one():
    cut = [(2.0, 2.5, 1.0), (0.5, 1.0, 3.0), (2.5, 3.0, 1.5)]
    parts = [Part(start, end, 0.0, 8000.0, value) for start, end, value in cut]
    assert views._parts_in_words(parts) == "0.5 to 1.0 s; 2.0 to 3.0 s"


def test_bands_are_drawn_from_the_highest_down():
    said = text(views.method_card(done(explain(TONE, CLIP, "shapley-bands", bands=4)), CLIP))
    assert said.index("6.0 to 8.0 kHz") < said.index("0.0 to 2.0 kHz")


def test_progress_has_a_bar():
    html = views.method_card(MethodRun("cnn", "lime-time", 0.4), CLIP)
    assert "width:40%" in html and "LIME by time for cnn" in text(html)


# --- who is asked ---


def test_the_detector_that_scored_the_recording_is_asked_and_no_other():
    entries = [(Version("cnn", 3, ("champion",), {}), TONE)]
    assert in_service(report(), "cnn", entries) is TONE
    retrained = [(entries[0][0], toy(Tone(2000.0)))]
    for now in (retrained, [], [(Version("other", 3, (), {}), TONE)]):
        with pytest.raises(HearsayError, match="cnn has been replaced since"):
            in_service(report(), "cnn", now)


# --- evidence ---


def test_evidence_is_of_the_explanation_on_the_page():
    shown = report()
    right = explain(TONE, CLIP)
    wrong = replace(right, values=np.roll(right.values, 4))
    misled = replace(shown, seconds=describe.by_time(wrong, TONE, "cnn"))
    assert replay(shown, CLIP, TONE, "cnn", MethodRun()).sufficient  # made for the purpose
    assert not replay(misled, CLIP, TONE, "cnn", MethodRun()).sufficient
    assert replay(misled, CLIP, TONE, "cnn", done(right)).sufficient


def test_evidence_card_has_a_player_and_an_answer_for_every_version():
    found = replay(report(), CLIP, TONE, "cnn", MethodRun())
    html = views.evidence_card(found, report().results[0], ADDRESSES, 0.5)
    for kind, (title, _) in views.TAKES.items():
        assert f'data-audio="take-{kind}"' in html and f'aria-label="Play: {title}"' in html
    assert html.count('src="file?a=1&amp;b=2"') == 4
    said = text(html)
    assert "The claim holds:" in said and 'class="claim held"' in html
    assert re.search(
        r"Only what decided .* Likely fake .* Without what decided .* Likely real", said
    )


def test_evidence_that_cannot_be_heard_is_a_sentence():
    unmoved = toy(Tone(1000.0), calibration=Calibration(offset=-1e5))
    seconds = explain(unmoved, CLIP, players=2)
    for_fake = describe.by_time(replace(seconds, values=np.abs(seconds.values)), unmoved, "cnn")
    shown = replace(report(detector=unmoved), seconds=for_fake)
    with pytest.raises(ExplainError, match="speaks for 'real'"):
        replay(shown, CLIP, unmoved, "cnn", MethodRun())
    assert "no evidence" in text(views.problem("There is no evidence <here>."))


# --- audit ---


def test_audit_card_marks_the_verdicts_that_turn():
    clip = waveform(voice(2.0))
    rows = audit_part(report(clip), clip, TONE, "cnn", 0.5)
    steady = views.audit_card([replace(row, flipped=False) for row in rows], "cnn")
    assert "is the same in all 7 versions" in text(steady) and "turned" not in steady
    turned = [replace(row, flipped=row.name == "mp3", verdict="fake") for row in rows]
    html = views.audit_card(turned, "cnn")
    assert "turns in 1 of 7 versions: MP3 at 64 kbit/s" in text(html)
    assert html.count('class="turned"') == 1 and html.count("<tr") == 9
    assert re.search(r"MP3 at 64 kbit/s .* verdict turns", text(html))


def test_of_a_long_recording_the_strongest_part_is_audited(monkeypatch):
    heard_s = []

    def listen(detector, wave, prior):
        heard_s.append(len(wave.samples) / RATE)
        return ()

    monkeypatch.setattr(on_demand, "audit", listen)
    for seconds in (5.0, 45.0):
        clip = waveform(voice(seconds))
        audit_part(report(clip), clip, TONE, "cnn", 0.5)
    assert heard_s == [5.0, on_demand.AUDITED_S]
    rows = [Variant("original", 0.1, 0.5, "real"), Variant("mp3", 0.2, 0.6, "real")]
    assert "on the 20 s round the strongest" in text(views.audit_card(rows, "cnn", True))


def test_a_recording_that_was_deleted_is_asked_for_again(tmp_path):
    with gr.Blocks():
        panel = OnDemandPanel(lambda: [(Version("cnn", 3, (), {}), TONE)], Turns())
    gone = str(tmp_path / "gone.wav")
    for path, name in ((gone, "cnn"), (None, "cnn"), (gone, "another")):
        *_, said = panel.audit(path, report(), name, 50)
        assert "choose it again" in said
        *_, said = panel.hear_evidence(path, report(), name, MethodRun(), 50)
        assert "choose it again" in said
        *_, said = panel.explain_again(path, report(), name, "occlusion")
        assert "choose it again" in said[panel.explained]
    (said,) = panel.explain_again(gone, report(), "cnn", None)
    assert "choose a method" in said[panel.explained]


def test_a_strip_fills_its_height_at_the_peak_that_it_is_told():
    quiet = figures.strip(0.1 * CLIP.samples, 1.0, "quiet")
    heights = [float(y) for y in re.findall(r",([\d.]+)", quiet.partition("points=")[2])]
    assert min(heights) > 40 and max(heights) < 60
    assert f'data-to="{len(CLIP.samples) / RATE:.3f}"' in quiet
