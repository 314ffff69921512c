"""The analysis: order of its steps, every way to end without a verdict, and its plain answer."""

import io
import json

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
from page.analysis import analyse, explained_by, judge, ranked
from page.answer import answer


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


def test_best_on_dev_comes_first_and_the_unmeasured_last():
    assert [version.name for version, _ in ranked(THREE)] == ["resnet", "cnn", "aasist"]


def test_a_lower_cllr_counts_more_than_a_lower_eer():
    low_eer, low_cllr = entry("cnn", 500.0, eer=0.1), entry("fusion", 500.0, eer=0.2)
    low_eer[1].config.figures["dev"]["cllr"] = 0.7
    low_cllr[1].config.figures["dev"]["cllr"] = 0.6
    assert ranked([low_eer, low_cllr, *THREE])[:2] == [low_cllr, low_eer]


def test_verdict_comes_before_the_other_detectors_and_before_explanations():
    reports = list(analyse(LONG, THREE))
    waiting = [(len(r.opinions), r.seconds is None, r.bands is None) for r in reports]
    assert waiting == sorted(waiting, key=lambda w: (w[0], not w[1], not w[2]))
    first = next(r for r in reports if r.opinions)
    assert first.opinions[0].name == "resnet" and first.waiting == ("cnn", "aasist")
    assert first.seconds is None and first.step
    assert [r.share for r in reports] == sorted(r.share for r in reports)
    last = reports[-1]
    assert last.step == "" and last.share == 1.0 and not last.waiting
    assert last.seconds is not None and last.bands is not None and last.explained == "resnet"


def test_opinions_are_the_detectors_scores():
    *_, last = judge(LONG, THREE)
    for opinion in last.opinions:
        assert opinion.score == opinion.detector.score(last.wave)
        assert opinion.milliseconds > 0


def test_explanation_is_of_the_detector_that_was_asked_for():
    *_, last = analyse(SHORT, THREE)
    *_, one = explained_by(last, last.wave, "cnn")
    *_, other = explained_by(last, last.wave, "aasist")
    assert one.explained == "cnn" and other.explained == "aasist"
    assert one.opinions == other.opinions == last.opinions
    assert other.seconds.full == pytest.approx(900 / 500 * one.seconds.full)


def test_long_recording_is_explained_where_evidence_for_fake_is_strongest():
    quiet, loud = voice(3.0, 1), voice(1.0, 2)
    clip = np.concatenate([0.1 * quiet, loud])
    *_, last = analyse(flac(clip), [entry("toy", 500.0)])
    assert last.seconds.times[0] == pytest.approx(3.0)
    assert last.bands.full == pytest.approx(last.seconds.full, rel=1e-3)  # the same stretch


def test_a_detector_that_hears_features_is_explained_by_them():
    entries = [(Version("prosody", 1, (), {}), load("prosody"))]
    *_, last = analyse(SHORT, entries)
    assert last.bands.method == "shapley-groups" and "jitter" in last.bands.names


def test_detector_without_a_number_is_left_out_and_said():
    broken = Version("broken", 1, (), {}), toy(Linear(torch.full((16_000,), torch.nan)))
    *_, last = analyse(SHORT, [broken, entry("cnn")])
    assert [opinion.name for opinion in last.opinions] == ["cnn"]
    assert last.notices == ("broken gave no usable number for this recording and was left out.",)


def test_no_detectors_is_said():
    *_, last = analyse(SHORT, [])
    assert last.step == "" and not last.opinions
    assert answer(last)["error"] == "No detector is in service."


ERRORS = {
    "unreadable": b"this is not a recording",
    "empty": b"",
    "too-short": flac(voice(0.3, 1)),
    "no-speech": flac(np.random.default_rng(0).normal(0, 0.01, 2 * RATE)),
    "too-long": flac(np.zeros(11 * 60 * 8000), 8000),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_recordings_that_cannot_be_judged_end_with_one_sentence(kind):
    *_, last = analyse(ERRORS[kind], THREE)
    assert last.error is not None and last.error.kind == kind
    assert last.step == "" and not last.opinions and not last.waiting
    said = answer(last)
    assert said["verdict"] == kind and said["p_fake"] is None and said["error"] == str(last.error)


def test_answer_is_plain_json_with_the_documented_fields():
    *_, last = judge(LONG, THREE)
    said = json.loads(json.dumps(answer(last, prior=0.2, detector="cnn")))
    cnn = next(opinion for opinion in last.opinions if opinion.name == "cnn")
    assert said["detector"] == "cnn" and said["prior"] == 0.2
    assert said["llr"] == cnn.score.llr and said["p_fake"] == cnn.score.p_fake(0.2)
    assert said["verdict"] == cnn.kind(0.2)
    assert [row["name"] for row in said["models"]] == ["resnet", "cnn", "aasist"]
    assert said["models"][0]["version"] == 2 and said["models"][0]["eer"]["dev"] == 0.1
    assert len(said["windows"]) == len(cnn.score.windows) > 1
    assert said["facts"]["seconds"] == pytest.approx(3.0)


def test_answer_names_the_detectors_when_the_wanted_one_is_not_there():
    *_, last = judge(SHORT, THREE)
    assert "resnet, cnn, aasist" in answer(last, detector="xlsr")["error"]


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
