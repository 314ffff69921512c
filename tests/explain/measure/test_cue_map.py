"""Where detectors look: places worked out by hand, sums that are kept, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_corpus import tiny_corpus
from toys import RATE, Tone, toy, waveform, with_tone
from voice import voice

from corpora.manifest import Clip, read_manifest
from detectors import Config, Detector
from explain import ExplainError, Explanation, explain
from explain.__main__ import main
from explain.measure.cue_map import (
    BANDS,
    PLACES,
    PlacedEvidence,
    by_generator,
    by_place,
    cue_map,
    places,
)

SPANS = [(0.4, 1.0), (1.5, 1.6)]  # of a clip of two seconds


def test_every_moment_has_one_place():
    at = np.array([0.05, 0.2, 0.45, 0.7, 1.2, 1.55, 1.7, 1.95])
    said = [PLACES[i] for i in places(at, 2.0, SPANS)]
    assert said == [
        "edge", "leading silence", "onset", "speech", "pause", "onset", "trailing silence", "edge",
    ]  # fmt: skip


def test_an_edge_is_an_edge_also_where_somebody_speaks():
    assert PLACES[places(np.array([0.02]), 1.0, [(0.0, 1.0)])[0]] == "edge"


def test_a_clip_without_speech_has_no_places():
    with pytest.raises(ExplainError, match="No speech"):
        places(np.array([0.5]), 1.0, [])


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_evidence_is_kept_whatever_place_it_is_given(values):
    edges = np.linspace(0, 1, 9)
    explanation = Explanation(values=np.array(values), times=edges, full=0.0)
    (placed,) = by_place(explanation, waveform(with_tone(0.3, 0.6)), [(0.2, 0.8)])
    assert placed.evidence.sum() == pytest.approx(sum(values), abs=1e-6)
    assert placed.extent.sum() == pytest.approx(1.0)


def test_a_tone_is_found_in_its_band_and_its_place():
    clip = waveform(with_tone(0.3, 0.6, hz=2500.0))
    detector = toy(Tone(2500.0))
    time, band = by_place(explain(detector, clip, "owen-patches"), clip, [(0.05, 0.7)])
    assert PLACES[int(np.argmax(time.evidence))] == "speech"
    assert BANDS[int(np.argmax(band.evidence))] in ("2 to 3 kHz", "3 to 4 kHz")


def figures(found, by):
    """{generator: {place: {metric: row}}}"""
    made: dict = {}
    for row in by_generator(found, by):
        places = made.setdefault(row["generator"], {})
        places.setdefault(row["condition"], {})[row["metric"]] = row
    return made


def clip(label: str, system: str, number: int) -> Clip:
    return Clip(f"{system}{number}", Path("nowhere"), label, system=system)


def test_importance_trust_and_contribution_by_hand():
    both = ("loud", "quiet")
    extent = np.array([1.0, 3.0])
    fake, real = np.array([2.0, -1.0]), np.array([-4.0, -1.0])
    found = [
        (clip("spoof", "vits", 0), PlacedEvidence("time", both, fake, np.abs(fake), extent)),
        (clip("bonafide", "bonafide", 1), PlacedEvidence("time", both, real, np.abs(real), extent)),
    ]
    made = figures(found, "system")
    assert list(made) == ["all", "bonafide", "vits"]
    loud, quiet = (made["all"][place] for place in both)
    assert loud["importance"]["value"] == 3 and quiet["importance"]["value"] == 1
    assert (
        loud["trust"]["value"] == 1 and quiet["trust"]["value"] == 0
    )  # one of two points the wrong way
    assert loud["contribution"]["value"] == pytest.approx((3 / 4) / (1 / 4))
    assert quiet["contribution"]["value"] == pytest.approx((1 / 4) / (3 / 4))
    assert loud["importance"]["low"] <= 3 <= loud["importance"]["high"]
    assert made["vits"]["quiet"]["trust"]["value"] == -1
    assert made["vits"]["quiet"]["trust"]["n"] == 1


def test_places_that_no_clip_has_get_no_figures():
    found = [(clip("spoof", "vits", 0), PlacedEvidence("time", ("a", "b"), *[np.eye(2)[0]] * 3))]
    nowhere = figures(found, "system")["all"]["b"]
    assert set(nowhere) == {"extent"} and nowhere["extent"]["value"] == 0


def test_a_detector_that_looks_everywhere_alike_contributes_one_everywhere():
    rng, edges = np.random.default_rng(0), np.linspace(0, 2, 9)
    found = []
    for number in range(400):
        values = rng.choice([-1.0, 1.0], 8)  # of either sign, which must not cancel
        evidence = Explanation(values=values, times=edges, full=0.0)
        (placed,) = by_place(evidence, waveform(np.zeros(2 * RATE)), SPANS)
        found.append((clip("spoof", "vits", number), placed))
    for place in figures(found, "system")["all"].values():
        assert place["contribution"]["value"] == pytest.approx(1.0, abs=0.01)


# --- over a manifest ---


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    tiny_corpus(folder, speakers=2)
    torch.manual_seed(0)
    Detector(Config("small", "cnn", {"channels": (4, 4)}, window=16_000)).save(folder / "small")
    return folder


def run(here, *arguments) -> int:
    own = ("--manifest", here / "manifest.csv", "--detectors", here / "small")
    return main(["corpus", *(str(a) for a in (*own, *arguments))])


def test_the_command_prints_tables_and_writes_json_and_png(here, tmp_path, capsys):
    out, picture = tmp_path / "cue_map.json", tmp_path / "cue_map.png"
    assert run(here, "--split", "test", "--by", "system", "--json", out, "--png", picture) == 0
    result = json.loads(out.read_text())
    rows = result["rows"]
    assert {row["method"] for row in rows} == {"shapley-time", "band-inclusion"}
    by_time = [row for row in rows if row["axis"] == "time"]
    assert {row["generator"] for row in by_time} == {"all", "bonafide", "buzz-test", "hum-test"}
    assert {row["n"] for row in by_time if row["generator"] == "all"} == {4}
    assert {row["condition"] for row in by_time} == set(PLACES)
    assert {row["condition"] for row in rows if row["axis"] == "frequency"} == set(BANDS)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "| buzz-test (1) |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--png", "nowhere/cue_map.png"], "there is no folder nowhere"),
        (["--by", "weather"], "invalid choice"),
        (["--methods", "tea-leaves"], "'tea-leaves' explains none"),
        (["--seed", "-1"], "write a whole number from 0"),
    ],
)
def test_bad_input_ends_before_the_work_starts(here, capsys, arguments, said):
    try:
        code = run(here, *arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_clips_without_speech_are_skipped_and_named(tmp_path, capsys):
    soundfile.write(tmp_path / "hiss.flac", 0.01 * np.random.default_rng(0).random(RATE), RATE)
    soundfile.write(tmp_path / "voice.flac", voice(1.0), RATE)
    (tmp_path / "page.flac").write_text("<html>404</html>")
    rows = "hiss.flac,real,a\nvoice.flac,fake,b\npage.flac,real,c\n"
    (tmp_path / "m.csv").write_text(f"path,label,speaker\n{rows}")
    clips = read_manifest(tmp_path / "m.csv")
    result = cue_map(clips, {"toy": toy(Tone(1000))}, "family", ["shapley-time"])
    assert result["skipped"] == 2 and {*result["left_out"]} == {"hiss.flac", "page.flac"}
    assert "page.flac was left out: " in capsys.readouterr().err
    assert {row["generator"] for row in result["rows"]} == {"all", "unknown"}
    with pytest.raises(ExplainError, match="None of the 1 clips"):
        cue_map(clips[:1], {"toy": toy(Tone(1000))})
