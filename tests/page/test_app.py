"""The page's events as Python calls: what each of them gives, without a browser."""

from __future__ import annotations

import gc
import weakref
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import soundfile
from reading import text
from toys import Tone, toy
from voice import RATE, voice

from app import Page
from detectors.assessment import ADAPTER
from detectors.config import Calibration
from detectors.pool import DetectorPool
from detectors.registry import Version
from page.on_demand import MethodRun
from page.on_demand_panel import stop
from page.report import EMPTY

CALIBRATION = Calibration(threshold=0.2)


def entry(name, number=3, hz=200.0):
    detector = toy(Tone(hz), calibration=CALIBRATION, figures={"dev": {"eer": 0.1 * number}})
    detector.version = str(number)
    return Version(name, number, ("champion",), {}), detector


@pytest.fixture
def clip(tmp_path, monkeypatch) -> str:
    """A recording, and a place for what the page plays."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    soundfile.write(tmp_path / "clip.wav", voice(3.0), RATE)
    return str(tmp_path / "clip.wav")


@pytest.fixture
def entries():
    return [entry("cnn"), entry("resnet", 4, hz=400.0)]


@pytest.fixture
def page(clip, entries):
    """The page with two quick detectors in service, whatever is written into `entries`."""
    pool = SimpleNamespace(detectors=lambda: list(entries), notices=("MLflow is away.",))
    return Page(pool)


def analysed(page, clip, percent=50):
    """What the page's components hold once a recording is analysed."""
    shown = {}
    for updates in page.assess_and_explain(clip, percent):
        shown |= updates
    return shown


def test_priors_are_weighed_in_the_order_in_which_they_were_asked_for():
    page = Page(DetectorPool([]))
    weighed = [event for event in page.blocks.fns.values() if event.name == "change_prior"]
    assert len(weighed) == 2
    assert len({event.concurrency_id for event in weighed}) == 1
    assert all(event.concurrency_limit == 1 for event in weighed)


def test_a_recording_gets_verdict_explanation_and_sound(page, clip):
    updates = list(page.assess_and_explain(clip, 50))
    seen = [name for shown in updates for name in page.panels if page.panels[name] in shown]
    assert seen.index("verdict") < seen.index("seconds")
    shown = analysed(page, clip)
    html = {name: shown[component] for name, component in page.panels.items()}
    assert "P(fake)" in html["verdict"] and 'class="chip' in html["seconds"]
    assert "kHz" in html["bands"] and 'class="threshold"' in html["timeline"]
    assert "cnn" in text(html["detectors"]) and "3.0 s" in text(html["facts"])
    assert 'id="heard"' in shown[page.sound]
    assert shown[page.on_demand.column].visible and shown[page.report].wave is None


def test_without_a_recording_the_page_is_empty(page):
    (shown,) = page.assess_and_explain(None, 50)
    assert shown[page.report] is EMPTY and not shown[page.on_demand.column].visible
    assert "Nothing heard yet" in shown[page.panels["verdict"]]


def test_what_is_no_recording_is_a_verdict_of_its_own(page, tmp_path):
    (tmp_path / "notes.wav").write_bytes(b"no sound at all " * 64)
    shown = analysed(page, str(tmp_path / "notes.wav"))
    assert "Not readable" in shown[page.panels["verdict"]]
    assert not shown[page.on_demand.column].visible


def test_a_prior_moves_verdict_and_table_as_an_analysis_under_it_does(page, clip):
    report = analysed(page, clip)[page.report]
    moved = page.change_prior(report, 1)
    assert "1 in 100 recordings" in text(moved[page.panels["verdict"]])
    fresh = analysed(page, clip, 1)[page.panels["verdict"]]
    assert text(moved[page.panels["verdict"]]) == text(fresh)
    assert page.change_prior(EMPTY, 1).keys() == {"__type__"}  # nothing to do: a skip


def test_programs_get_the_published_answer(page, clip):
    answer = page.analyze(clip, 0.2)
    assert ADAPTER.validate_python(answer).to_dict() == answer
    assert answer["detector"] == "cnn" and answer["prior"] == 0.2 and answer["file"] == "clip.wav"
    assert [model["name"] for model in answer["models"]] == ["cnn", "resnet"]
    other = page.analyze(clip, 0.2, "resnet")
    assert other["detector"] == "resnet" and other["llr"] == answer["models"][1]["llr"]
    assert "nobody" in page.analyze(clip, 0.2, "nobody")["error"]


def test_programs_get_the_cautions_that_the_page_shows(page, tmp_path):
    soundfile.write(tmp_path / "telephone.wav", voice(3.0)[::2], RATE // 2, subtype="ULAW")
    path = str(tmp_path / "telephone.wav")
    said = page.analyze(path, 0.5)["cautions"]
    assert any("like a telephone" in sentence for sentence in said)
    shown = text(analysed(page, path)[page.panels["facts"]])
    assert all(sentence in shown for sentence in said)


def test_another_method_the_evidence_and_the_audit_on_demand(page, clip):
    report = analysed(page, clip)[page.report]
    panel = page.on_demand
    *_, last = panel.explain_again(clip, report, "resnet", "occlusion")
    assert "Occlusion" in last[panel.explained] and last[panel.run].view is not None
    *_, evidence = panel.hear_evidence(clip, report, "resnet", last[panel.run], 50)
    assert evidence.count('class="take"') == 4 and "The claim" in evidence
    *_, audit = panel.audit(clip, report, "cnn", 50)
    assert "MP3 at 64 kbit/s" in audit and audit.count("<tr") == 9
    chosen = panel.methods_of(report, "resnet")
    assert ("Occlusion", "occlusion") in chosen.choices


def test_a_champion_that_was_replaced_is_freed_while_its_report_is_still_shown(page, clip, entries):
    report = analysed(page, clip)[page.report]
    replaced = weakref.ref(entries[0][1])
    entries[0] = entry("cnn", 5, hz=300.0)
    gc.collect()
    assert replaced() is None
    assert page.change_prior(report, 10)[page.panels["verdict"]]
    for said in (
        page.on_demand.audit(clip, report, "cnn", 50),
        page.on_demand.hear_evidence(clip, report, "cnn", MethodRun(), 50),
    ):
        *_, last = said
        assert "cnn has been replaced since this recording was scored" in last
    *_, last = page.on_demand.audit(clip, report, "resnet", 50)
    assert "MP3" in last


def test_what_is_in_service_is_said_with_its_notices(page):
    notices, served = page.service_lines()
    assert "MLflow is away." in notices and "cnn version 3 (champion)" in text(served)


def test_a_new_recording_ends_the_analysis_of_the_last_one(page, clip):
    first = page.assess_and_explain(clip, 50)
    seat = next(first)[page.seat]
    assert next(first)  # it is under way
    assert page.report in analysed(page, clip)  # of another tab: nothing is stopped
    stop(seat, None)
    assert list(first) == []


def test_who_waits_for_a_seat_is_told_the_place_in_line(page, clip):
    with ExitStack() as others:
        for _ in range(page.turns.seats + 1):
            others.enter_context(page.turns.seat())
        updates = page.assess_and_explain(clip, 50)
        assert "Received" in next(updates)[page.panels["verdict"]]
        assert "number 2 in line" in text(next(updates)[page.panels["verdict"]])
    assert "P(fake)" in list(updates)[-1][page.panels["verdict"]]


def test_the_card_names_the_recording_and_its_length(page, clip):
    assert "clip.wav, 3 s" in text(analysed(page, clip)[page.panels["verdict"]])
