"""python -m detectors as typed: score, list, bench, import, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import soundfile
from stores import make_detector, use_store
from voice import voice

from detectors import BUNDLED, Score, bundled, load, registry
from detectors.__main__ import main
from detectors.assessment import assess
from detectors.pool import DetectorPool
from detectors.scoring import ScoringSession
from detectors.stretches import Stretch


@pytest.fixture
def clip(tmp_path):
    x = voice(5.0)
    x[:2] = x[-2:] = 0.5  # loud ends, so that nothing is left out
    soundfile.write(tmp_path / "clip.flac", x, 16_000)
    return tmp_path / "clip.flac"


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_file_gets_a_sentence(clip, capsys):
    code, said, _ = run(capsys, "score", clip)
    assert code == 0 and said.startswith(f"{clip}: ")
    assert "P(fake)" in said and all(name in said for name in bundled())


def test_json_holds_every_models_answer(clip, capsys):
    code, said, _ = run(capsys, "score", clip, "--json")
    answer = json.loads(said)
    assert code == 0 and answer["error"] is None
    assert answer["verdict"] in ("real", "fake", "inconclusive")
    assert {m["name"] for m in answer["models"]} == set(bundled())
    for model in answer["models"]:
        assert set(model) >= {"version", "p_fake", "llr", "windows", "milliseconds"}
        places = [(w["start_s"], w["end_s"]) for w in model["windows"]]
        assert places == [(0.0, 4.0375), (0.9625, 5.0)]
    assert answer["facts"]["seconds"] == 5.0 and answer["facts"]["container"] == "flac"


def test_one_bad_file_among_good_ones_is_a_field_and_all_bad_is_exit_code_2(clip, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"not sound")
    code, said, _ = run(capsys, "score", tmp_path / "bad.wav", clip, "--json", "--models", "cnn")
    first, second = map(json.loads, said.splitlines())
    assert code == 0 and second["error"] is None
    assert first["p_fake"] is None and first["error_kind"] == "unreadable" and first["error"]
    assert run(capsys, "score", tmp_path / "bad.wav", tmp_path / "none.wav")[0] == 2


def test_the_prior_moves_the_answer(clip, capsys):
    answers = [
        json.loads(run(capsys, "score", clip, "--json", "--models", "cnn", "--prior", p)[1])
        for p in (0.01, 0.99)
    ]
    assert answers[0]["p_fake"] < answers[1]["p_fake"]
    assert answers[0]["llr"] == answers[1]["llr"]


def test_a_detector_folder_is_a_model(clip, tmp_path, capsys):
    make_detector(tmp_path / "mine", name="mine")
    said = run(capsys, "score", clip, "--json", "--models", tmp_path / "mine")[1]
    assert [m["name"] for m in json.loads(said)["models"]] == [str(tmp_path / "mine")]


@pytest.fixture
def promoted(tmp_path, monkeypatch):
    """A store in which version 2 of cnn, and another detector, are champions."""
    store = use_store(tmp_path, monkeypatch)
    registry.seed([BUNDLED / "cnn"])
    for name in ("cnn", "mine"):
        make_detector(tmp_path / name, name=name)
        registry.promote(name, registry.register(tmp_path / name, name), force=True)
    return store


def versions(said: str) -> dict[str, str]:
    return {model["name"]: model["version"] for model in json.loads(said)["models"]}


def test_what_is_promoted_scores_as_on_the_page_unless_told_otherwise(
    clip, promoted, tmp_path, capsys
):
    _, said, notices = run(capsys, "score", clip, "--json")
    there = versions(said)
    assert {*there} == {*bundled(), "mine"}
    assert (there["cnn"], there["mine"], there["resnet"]) == ("2", "1", "bundled")
    assert "no champion of aasist" in notices
    pool = DetectorPool([BUNDLED / name for name in bundled()])
    pool.refresh()
    page = assess(clip, {version.name: detector for version, detector in pool.detectors()})
    answer = json.loads(said)
    assert {*answer} == {*page.to_dict()}
    assert (answer["llr"], answer["detector"]) == (page.llr, page.detector)

    assert versions(run(capsys, "score", clip, "--json", "--models", "cnn")[1]) == {"cnn": "2"}
    only = run(capsys, "score", clip, "--json", "--bundled")[1]
    assert versions(only) == dict.fromkeys(bundled(), "bundled")


def test_what_another_release_has_seeded_is_not_what_somebody_promoted(
    clip, tmp_path, monkeypatch, capsys
):
    use_store(tmp_path, monkeypatch)
    make_detector(tmp_path / "cnn")  # the bundle of that release
    registry.seed([tmp_path / "cnn"])
    said = run(capsys, "score", clip, "--json", "--models", "cnn")[1]
    assert versions(said) == {"cnn": "bundled"}


def test_scoring_makes_no_store(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/mlflow.db")
    code, _, notices = run(capsys, "score", clip, "--models", "cnn")
    assert (code, notices) == (0, "") and not (tmp_path / "new").exists()


def test_a_store_out_of_reach_is_a_notice_beside_the_bundled_ones(clip, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "localhost:5000")
    code, said, notices = run(capsys, "score", clip, "--models", "cnn", "--json")
    assert code == 0 and versions(said) == {"cnn": "bundled"}
    assert "begins with no scheme" in notices and notices.count("\n") == 1


def test_a_damaged_file_is_said_to_be_one(clip, capsys):
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    code, said, _ = run(capsys, "score", clip, "--models", "cnn")
    assert code == 0 and "\n  Truncated: decoded" in said


def test_a_name_of_no_encoding_does_not_end_the_run(clip, capsys):
    code, said, _ = run(capsys, "score", "\udcff.wav", clip, "--models", "cnn")
    assert code == 0 and "no file \\udcff.wav" in said and f"{clip}: " in said


def test_a_model_that_gives_no_number_is_an_error_of_that_file(clip, capsys, monkeypatch):
    heard, calls = ScoringSession.score, []

    def first_nothing(*about):
        calls.append(about)
        return Score(float("nan"), ()) if len(calls) == 1 else heard(*about)

    monkeypatch.setattr(ScoringSession, "score", first_nothing)
    code, said, error = run(capsys, "score", clip, clip, "--models", "cnn", "--json")
    bad, good = map(json.loads, said.splitlines())
    assert (code, error) == (0, "") and good["error"] is None
    assert "cnn gave no usable number" in bad["error"] and bad["llr"] is None
    monkeypatch.setattr(ScoringSession, "score", lambda *_: Score(float("nan"), ()))
    assert run(capsys, "score", clip, "--models", "cnn")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "-1", "list"], "--threads: write a whole number from 1"),
        (["--threads", "two", "list"], "--threads: write a whole number from 1"),
        (["score", "a.wav", "--prior", "abc"], "the prior is a number between 0 and 1"),
        (["score", "--models", "cnn", "a.wav"], "score FILE [FILE ...] [--models MODEL"),
    ],
)
def test_what_cannot_be_typed_so_is_said_plainly(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and said in capsys.readouterr().err


def test_unknown_models_and_priors_are_refused(clip, capsys):
    code, _, said = run(capsys, "score", clip, "--models", "nobody")
    assert code == 2 and "There is no detector 'nobody'" in said
    with pytest.raises(SystemExit) as stop:
        main(["score", str(clip), "--prior", "1"])
    assert stop.value.code == 2


def test_list_names_detectors_and_architectures(capsys):
    said = run(capsys, "list")[1]
    assert all(name in said for name in (*bundled(), "architectures: cnn, resnet, aasist"))


def test_bench_compares_an_untrained_architecture_with_plain_pytorch(capsys):
    result = json.loads(run(capsys, "bench", "--json", "--models", "cnn-lite")[1])
    row = result["models"]["cnn-lite"]
    assert row["speedup"] == pytest.approx(row["reference_seconds"] / row["seconds"])
    assert row["batch_seconds"] > 0 and row["batch"] == 8
    assert row["peak_mb"] >= row["loaded_mb"] > 0
    assert min(result["clip_60s"], result["clip_4s"], result["peak_mb"]) > 0


def test_bench_refuses_what_a_name_alone_does_not_make(capsys):
    code, _, said = run(capsys, "bench", "--models", "ssl")
    assert code == 2 and "'ssl' cannot be measured by its name alone" in said


def test_a_partly_fake_file_is_said_to_be_mixed_with_the_place(clip, capsys, monkeypatch):
    parts = (Stretch(41.8, 50.9, 3.2, "fake"),)
    found = replace(assess(clip, {"cnn": load("cnn")}), verdict="mixed", stretches=parts)
    monkeypatch.setattr("detectors.__main__.assess", lambda *_: found)
    code, said, _ = run(capsys, "score", clip, "--models", "cnn")
    assert code == 0
    assert ": mixed: most of it sounds real, 0:42 to 0:51 sounds fake; of the whole P(fake)" in said
    answer = json.loads(run(capsys, "score", clip, "--json", "--models", "cnn")[1])
    assert answer["stretches"] == [
        {"start_s": 41.8, "end_s": 50.9, "llr": 3.2, "verdict": "fake"},
    ]
