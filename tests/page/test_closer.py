"""The closer look: progress, stopping, the evidence that is replayed, and what is shown of it."""

import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from measured import measurement, use_measured
from reading import text
from toys import RATE, Tone, toy, waveform, with_tone
from voice import voice

from detectors.config import Calibration
from detectors.registry import Version
from explain import ExplainError, Explanation, explain
from explain.audit import Variant
from page import closer, closer_cards, figures
from page.analysis import Opinion, Report
from page.closer import Look, Stopped, audited, heard, look, watched
from page.closer_panel import CloserPanel

CLIP = waveform(with_tone(0.3, 0.6))
ADDRESSES = dict.fromkeys(closer_cards.TAKES, "file?a=1&b=2")


def report(clip=CLIP, **changes) -> Report:
    settings = {"calibration": Calibration(threshold=500.0), **changes}
    detector = toy(Tone(1000.0), **settings)
    opinion = Opinion(Version("cnn", 3, ("champion",), {}), detector, detector.score(clip), 12.0)
    return Report(step="", share=1.0, wave=clip, opinions=(opinion,), explained="cnn")


def test_progress_is_told_while_it_works_and_the_result_at_the_end(monkeypatch):
    monkeypatch.setattr(closer, "EVERY_S", 0.01)
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
    monkeypatch.setattr(closer, "EVERY_S", 0.01)
    stop = threading.Event()

    def work(progress):
        while True:
            progress(0.1)

    steps = watched(work, stop)
    next(steps)
    steps.close()  # returns only when the thread has ended
    assert stop.is_set()


def test_a_look_ends_with_the_explanation():
    looks = list(look(report(), CLIP, "cnn", "shapley-time", threading.Event()))
    assert isinstance(looks[-1].explanation, Explanation) and looks[-1].share == 1.0
    assert all(now.explanation is None for now in looks[:-1])


def test_a_look_that_was_stopped_or_refused_says_so():
    stop = threading.Event()
    stop.set()
    *_, last = look(report(), CLIP, "cnn", "shapley-bands", stop)
    assert last.error == "Stopped." and last.explanation is None
    *_, last = look(report(), CLIP, "cnn", "gradcam", threading.Event())
    assert "does not explain" in last.error
    assert "does not explain" in text(closer_cards.look_card(last, report(), CLIP))


@pytest.mark.parametrize(
    ("method", "sign"),
    [
        ("shapley-time", 'class="area bars"'),
        ("shapley-bands", '<dl class="names">'),
        ("owen-patches", 'class="heat"'),
    ],
)
def test_every_kind_of_explanation_is_drawn(method, sign):
    done = Look(
        "cnn", method, 1.0, explanation=explain(report().opinions[0].detector, CLIP, method)
    )
    html = closer_cards.look_card(done, report(), CLIP)
    assert sign in html
    assert "not measured yet" in text(html) and "passes" in text(html)


def test_a_map_that_finds_no_bands_says_so(monkeypatch):
    done = explain(report().opinions[0].detector, CLIP, "owen-patches")
    for by_band, warned in ((0.65, True), (0.8, False)):
        banded = measurement(by_band, axis="band", within=0.1, energy=0.6)
        use_measured(monkeypatch, owen_patches=measurement(0.8, energy=0.6) | banded)
        look = Look("cnn", "owen-patches", 1.0, explanation=done)
        said = text(closer_cards.look_card(look, report(), CLIP))
        assert ("no better than loudness" in said) is warned


def test_voice_features_are_drawn_by_name_the_largest_first():
    groups = replace(
        explain(report().opinions[0].detector, CLIP, players=3),
        times=None,
        names=("pitch", "<jitter>", "pauses"),
        values=np.array([0.5, -2.0, 1.0]),
        stderr=np.array([0.1, 0.2, 0.3]),
        notes=("R2 of the surrogate: 0.9.",),
    )
    looked = Look("cnn", "shapley-groups", 1.0, explanation=groups)
    html = closer_cards.look_card(looked, report(), CLIP)
    said = text(html)
    assert said.index("<jitter>") < said.index("pauses") < said.index("pitch")
    assert "<jitter>" not in html
    assert "Standard errors are up to 0.3" in said and "R2 of the surrogate: 0.9." in said


def test_bands_are_drawn_from_the_highest_down():
    detector = report().opinions[0].detector
    done = Look(
        "cnn", "shapley-bands", 1.0, explanation=explain(detector, CLIP, "shapley-bands", bands=4)
    )
    said = text(closer_cards.look_card(done, report(), CLIP))
    assert said.index("6.0 to 8.0 kHz") < said.index("0.0 to 2.0 kHz")


def test_progress_has_a_bar():
    html = closer_cards.look_card(Look("cnn", "lime-time", 0.4), report(), CLIP)
    assert "width:40%" in html and "LIME by time for cnn" in text(html)


# --- evidence ---


def test_evidence_is_of_the_explanation_on_the_page():
    shown = report()
    detector = shown.opinions[0].detector
    right = explain(detector, CLIP)
    wrong = replace(right, values=np.roll(right.values, 4))
    assert heard(shown, CLIP, "cnn", Look()).sufficient  # made for the purpose
    assert not heard(replace(shown, seconds=wrong), CLIP, "cnn", Look()).sufficient
    chosen = Look("cnn", "sliding-window", 1.0, explanation=right)
    assert heard(replace(shown, seconds=wrong), CLIP, "cnn", chosen).sufficient


def test_evidence_card_has_a_player_and_an_answer_for_every_version():
    found = heard(report(), CLIP, "cnn", Look())
    html = closer_cards.evidence_card(found, report(), "cnn", ADDRESSES, 0.5)
    for kind, (title, _) in closer_cards.TAKES.items():
        assert f'data-audio="take-{kind}"' in html and f'aria-label="Play: {title}"' in html
    assert html.count('src="file?a=1&amp;b=2"') == 4
    said = text(html)
    assert "The claim holds:" in said and 'class="claim held"' in html
    assert re.search(
        r"Only what decided .* Likely fake .* Without what decided .* Likely real", said
    )


def test_evidence_that_cannot_be_heard_is_a_sentence():
    unmoved = report(calibration=Calibration(threshold=1e9))
    seconds = explain(unmoved.opinions[0].detector, CLIP, players=2)
    for_fake = replace(seconds, values=np.abs(seconds.values))
    with pytest.raises(ExplainError, match="speaks for 'real'"):
        heard(replace(unmoved, seconds=for_fake), CLIP, "cnn", Look())
    assert "no evidence" in text(closer_cards.sorry("There is no evidence <here>."))


# --- audit ---


def test_audit_card_marks_the_verdicts_that_turn():
    clip = waveform(voice(2.0))
    rows = audited(report(clip), clip, "cnn", 0.5)
    steady = closer_cards.audit_card([replace(row, flipped=False) for row in rows], "cnn")
    assert "is the same in all 7 versions" in text(steady) and "turned" not in steady
    turned = [replace(row, flipped=row.name == "mp3", verdict="fake") for row in rows]
    html = closer_cards.audit_card(turned, "cnn")
    assert "turns in 1 of 7 versions: MP3 at 64 kbit/s" in text(html)
    assert html.count('class="turned"') == 1 and html.count("<tr") == 9
    assert re.search(r"MP3 at 64 kbit/s .* verdict turns", text(html))


def test_of_a_long_recording_the_strongest_part_is_audited(monkeypatch):
    heard_s = []

    def listen(detector, wave, prior):
        heard_s.append(len(wave.samples) / RATE)
        return ()

    monkeypatch.setattr(closer, "audit", listen)
    for seconds in (5.0, 45.0):
        clip = waveform(voice(seconds))
        audited(report(clip), clip, "cnn", 0.5)
    assert heard_s == [5.0, closer.AUDITED_S]
    rows = [Variant("original", 0.1, 0.5, "real"), Variant("mp3", 0.2, 0.6, "real")]
    assert "on the 20 s round the strongest" in text(closer_cards.audit_card(rows, "cnn", True))


def test_a_recording_that_was_deleted_is_asked_for_again(tmp_path):
    panel = object.__new__(CloserPanel)
    panel.looked, panel.stopper = "looked", "stopper"
    gone = str(tmp_path / "gone.wav")
    for path, name in ((gone, "cnn"), (None, "cnn"), (gone, "another")):
        *_, said = panel.audit(path, report(), name, 50)
        assert "choose it again" in said
        *_, said = panel.hear_evidence(path, report(), name, Look(), 50)
        assert "choose it again" in said
        *_, said = panel.look_closer(path, report(), name, "occlusion")
        assert "choose it again" in said["looked"]
    (said,) = panel.look_closer(gone, report(), "cnn", None)
    assert "choose a method" in said["looked"]


def test_a_strip_fills_its_height_at_the_peak_that_it_is_told():
    quiet = figures.strip(0.1 * CLIP.samples, 1.0, "quiet")
    heights = [float(y) for y in re.findall(r",([\d.]+)", quiet.partition("points=")[2])]
    assert min(heights) > 40 and max(heights) < 60
    assert f'data-to="{len(CLIP.samples) / RATE:.3f}"' in quiet
