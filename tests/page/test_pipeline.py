"""The analysis: order of its steps, every way to end without a verdict, and its plain answer."""

import gc
import io
import weakref

import numpy as np
import pytest
import soundfile as sf
import torch
from measured import measurement, use_measured
from toys import Linear, toy
from voice import RATE, voice

from detectors import load
from detectors.models.network import Network
from detectors.registry import Version
from explain.catalog import FREQUENCY, TIME, unasked
from page.pipeline import analyse, explained_by


class Energy(Network):
    """Logit = `level` times the clip's mean square at its own scale."""

    def __init__(self, level):
        super().__init__()
        self.register_buffer("level", torch.tensor(level))

    def forward(self, x):
        return self.level * x.square().mean(dim=1)


def entry(name, level=1.0, eer=None, **changes):
    figures = {} if eer is None else {"dev": {"eer": eer}}
    return Version(name, 2, ("champion",), {}), toy(Energy(level), figures=figures, **changes)


def flac(samples, rate=RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="FLAC")
    return file.getvalue()


THREE = [entry("aasist", 900.0), entry("cnn", 500.0, eer=0.2), entry("resnet", -400.0, eer=0.1)]
SHORT, LONG = flac(voice(0.9, 1)), flac(voice(3.0, 2))


def test_verdict_comes_before_the_other_detectors_and_before_explanations():
    reports = list(analyse(LONG, THREE))
    waiting = [(len(r.results), r.seconds is None, r.bands is None) for r in reports]
    assert waiting == sorted(waiting, key=lambda w: (w[0], not w[1], not w[2]))
    first = next(r for r in reports if r.results)
    assert first.results[0].name == "resnet" and first.waiting == ("cnn", "aasist")
    assert first.seconds is None and first.step
    assert [r.share for r in reports] == sorted(r.share for r in reports)
    last = reports[-1]
    assert last.step == "" and last.share == 1.0 and not last.waiting
    assert last.seconds is not None and last.bands is not None and last.explained == "resnet"


def test_explanation_is_of_the_detector_that_was_asked_for():
    *_, last = analyse(SHORT, THREE)
    detectors = {version.name: detector for version, detector in THREE}
    *_, one = explained_by(last, last.wave, "cnn", detectors)
    *_, other = explained_by(last, last.wave, "aasist", detectors)
    assert one.explained == "cnn" and other.explained == "aasist"
    assert one.assessment == other.assessment == last.assessment
    assert other.seconds.made.full == pytest.approx(900 / 500 * one.seconds.made.full)


def test_long_recording_is_explained_where_evidence_for_fake_is_strongest():
    quiet, loud = voice(3.0, 1), voice(1.0, 2)
    clip = np.concatenate([0.1 * quiet, loud])
    *_, last = analyse(flac(clip), [entry("toy", 500.0)])
    assert last.seconds.made.times[0] == pytest.approx(3.0)
    same = pytest.approx(last.seconds.made.full, rel=1e-3)
    assert last.bands.made.full == same  # of the same segment


def test_a_detector_that_hears_features_is_explained_by_them():
    entries = [(Version("prosody", 1, (), {}), load("prosody"))]
    *_, last = analyse(SHORT, entries)
    assert last.bands.method == "shapley-groups" and "jitter" in last.bands.drawn.names


def test_detector_without_a_number_is_left_out_and_said():
    broken = Version("broken", 1, (), {}), toy(Linear(torch.full((16_000,), torch.nan)))
    *_, last = analyse(SHORT, [broken, entry("cnn")])
    assert list(last.names) == ["cnn"]
    assert last.notices == ("broken gave no usable number for this recording and was left out.",)


def test_no_detectors_is_said():
    *_, last = analyse(SHORT, [])
    assert last.step == "" and not last.results
    assert last.assessment.error == "No detector is in service."


ERRORS = {
    "unreadable": b"this is not a recording",
    "empty": b"",
    "too-short": flac(voice(0.3, 1)),
    "no-speech": flac(np.random.default_rng(0).normal(0, 0.01, 2 * RATE)),
    "too-long": flac(np.zeros(61 * 60 * 8000), 8000),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_recordings_that_cannot_be_judged_end_with_one_sentence(kind):
    *_, last = analyse(ERRORS[kind], THREE)
    assert last.assessment.error_kind == kind and last.assessment.error
    assert last.step == "" and not last.results and not last.waiting


def test_methods_on_offer_begin_with_the_best_that_is_not_drawn():
    *_, last = analyse(SHORT, THREE)
    assert last.choices.keys() == {"resnet", "cnn", "aasist"}
    explained, other = last.choices["resnet"], last.choices["cnn"]
    assert explained.suggested not in (last.seconds.method, last.bands.method)
    assert other.suggested == last.seconds.method  # nothing of it is drawn yet
    assert {name for _, name in other.methods} >= {"shapley-time", "occlusion"}


def test_a_report_keeps_no_detector_alive():
    entries = [entry("cnn", 500.0)]
    *_, report = analyse(SHORT, entries)
    replaced = weakref.ref(entries[0][1])
    entries.clear()
    gc.collect()
    assert replaced() is None and report.seconds is not None


def test_what_was_measured_not_to_be_good_enough_is_not_drawn(monkeypatch):
    weak = measurement(0.7, energy=0.6) | measurement(0.8, axis="band", energy=0.79)
    methods = dict.fromkeys((*unasked(TIME), *unasked(FREQUENCY)), weak)
    use_measured(monkeypatch, **methods)
    *_, last = analyse(SHORT, [entry("cnn", 500.0)])
    assert last.seconds is None and last.bands is None
    better = {"shapley-bands": measurement(0.9, axis="band"), "occlusion": measurement(0.8)}
    use_measured(monkeypatch, **methods | better)
    *_, last = analyse(SHORT, [entry("cnn", 500.0)])
    assert last.seconds.method == "occlusion" and last.bands.method == "shapley-bands"
