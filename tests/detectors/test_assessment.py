"""The assessment of a recording: one order, one answer, one JSON schema."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import Linear, Tone, toy, waveform, with_tone
from voice import RATE, voice

from detectors.assessment import ADAPTER, assess, assess_by_each, ranked, schema
from detectors.config import Calibration, StretchRule
from detectors.models.network import Network

PUBLISHED = Path(__file__).parents[2] / "docs" / "answer.schema.json"


class Energy(Network):
    """Logit = `level` times the clip's mean square at its own scale."""

    def __init__(self, level):
        super().__init__()
        self.register_buffer("level", torch.tensor(level))

    def forward(self, x):
        return self.level * x.square().mean(dim=1)


def energy(level=1.0, eer=None):
    return toy(Energy(level), figures={} if eer is None else {"dev": {"eer": eer}})


THREE = {
    "aasist": energy(900.0),
    "cnn": energy(500.0, eer=0.2),
    "resnet": energy(-400.0, eer=0.1),
}
BROKEN = toy(Linear(torch.full((16_000,), torch.nan)))


def flac(samples, rate=RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC")
    return file.getvalue()


LONG = flac(voice(3.0, 2))


def test_best_on_dev_comes_first_and_the_unmeasured_last():
    assert list(ranked(THREE)) == ["resnet", "cnn", "aasist"]


def test_a_lower_cllr_counts_more_than_a_lower_eer():
    low_eer, low_cllr = energy(500.0, eer=0.1), energy(500.0, eer=0.2)
    low_eer.config.figures["dev"]["cllr"] = 0.7
    low_cllr.config.figures["dev"]["cllr"] = 0.6
    order = list(ranked({**THREE, "cnn": low_eer, "fusion": low_cllr}))
    assert order[:2] == ["fusion", "cnn"]


def test_results_are_the_detectors_scores_and_come_one_by_one():
    wave = waveform(voice(3.0, 2))
    states = list(assess_by_each(wave, THREE))
    assert [len(state.models) for state in states] == [0, 1, 2, 3]
    for result in states[-1].models:
        score = THREE[result.name].score(wave)
        assert (result.llr, result.windows) == (score.llr, score.windows)
        assert result.p_fake == score.p_fake() and result.digest == THREE[result.name].digest
    assert states[-1].detector == "resnet" and states[-1].llr == states[-1].models[0].llr


def test_the_published_schema_is_what_the_code_makes():
    assert json.loads(PUBLISHED.read_text()) == schema(), (
        f"write it again: python -m detectors.assessment > {PUBLISHED}"
    )


@pytest.mark.parametrize("source", [LONG, b"this is not a recording", flac(voice(0.3, 1))])
def test_answers_follow_the_schema_and_lose_nothing(source):
    found = assess(source, THREE, 0.3)
    answer = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert answer.keys() == schema()["properties"].keys()
    assert ADAPTER.validate_python(answer) == found


def test_answer_names_verdict_prior_models_and_windows():
    found = assess(LONG, THREE, 0.2).by("cnn")
    answer = found.to_dict()
    cnn = found.model("cnn")
    assert answer["detector"] == "cnn" and answer["prior"] == 0.2
    assert (answer["llr"], answer["p_fake"], answer["verdict"]) == (
        cnn.llr,
        cnn.p_fake,
        cnn.verdict,
    )
    assert [row["name"] for row in answer["models"]] == ["resnet", "cnn", "aasist"]
    assert answer["models"][0]["figures"]["dev"]["eer"] == 0.1
    assert len(answer["windows"]) == len(cnn.windows) > 1
    assert answer["facts"]["seconds"] == pytest.approx(3.0)


def test_another_prior_moves_verdict_and_probability_as_scoring_under_it_would():
    fresh, moved = assess(LONG, THREE, 0.001), assess(LONG, THREE).at(0.001)
    assert moved.p_fake == fresh.p_fake and moved.verdict == fresh.verdict
    assert [m.p_fake for m in moved.models] == [m.p_fake for m in fresh.models]
    assert moved.prior == 0.001 and moved.llr == assess(LONG, THREE).llr
    with pytest.raises(ValueError, match="between 0 and 1"):
        assess(LONG, THREE, 1.0)


def test_the_detectors_are_named_when_the_wanted_one_is_not_there():
    found = assess(LONG, THREE).by("xlsr")
    assert "resnet, cnn, aasist" in found.error and found.error_kind == "no-detector"
    assert found.verdict is None and found.p_fake is None


def test_a_detector_without_a_number_is_left_out_and_said():
    found = assess(LONG, {"broken": BROKEN, "cnn": THREE["cnn"]})
    assert [result.name for result in found.models] == ["cnn"] and found.error is None
    said = "broken gave no usable number for this recording and was left out."
    assert found.notices == (said,)
    alone = assess(LONG, {"broken": BROKEN})
    assert (alone.error, alone.error_kind, alone.verdict) == (said, "no-number", None)


def test_no_detectors_is_said():
    assert assess(LONG, {}).error == "No detector is in service."


ERRORS = {
    "unreadable": b"this is not a recording",
    "empty": b"",
    "too-short": flac(voice(0.3, 1)),
    "no-speech": flac(np.random.default_rng(0).normal(0, 0.01, 2 * RATE)),
    "too-long": flac(np.zeros(11 * 60 * 8000), 8000),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_recordings_that_cannot_be_judged_get_one_sentence(kind):
    found = assess(ERRORS[kind], THREE, max_seconds=600)
    assert found.error_kind == kind and found.error and not found.models
    assert found.verdict is None and found.p_fake is None


def test_what_contradicts_the_rest_makes_the_verdict_mixed_and_leaves_the_whole_as_it_is():
    plain = Calibration(scale=0.002, offset=-3.0, abstain=(-0.5, 0.5))
    calibration = dataclasses.replace(plain, stretches=StretchRule(spread=0.5, penalty=5))
    clip = waveform(with_tone(20, 26, n=60 * RATE))
    clip = dataclasses.replace(clip, spans=((0.0, 60.0),))
    *_, found = assess_by_each(clip, {"cnn": toy(Tone(1000.0), calibration=calibration)})
    *_, before = assess_by_each(clip, {"cnn": toy(Tone(1000.0), calibration=plain)})
    assert found.verdict == "mixed" and before.verdict == "real"
    assert found.p_fake == before.p_fake and found.llr == before.llr
    answer = found.to_dict()
    (stretch,) = answer["stretches"]
    assert stretch["verdict"] == "fake" and stretch["llr"] > 0
    assert abs(stretch["start_s"] - 20) <= 0.5 and abs(stretch["end_s"] - 26) <= 0.5
    assert answer["models"][0]["stretches"] == answer["stretches"]
    assert before.to_dict()["stretches"] == []
    assert found.at(1e-6).verdict == "real" and found.at(1e-6).at(0.5) == found
