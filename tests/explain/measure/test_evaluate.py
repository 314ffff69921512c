"""Evaluating explanations: partial spoofs, rows, figures and the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stores import use_store
from tiny_corpus import tiny_corpus
from toys import Tone, toy, waveform
from voice import voice

from corpora.manifest import read_manifest
from corpora.partial_spoof import self_splice, splice_band
from detectors import Config, Detector
from detectors.config import Calibration
from detectors.mlflow_store import mlflow_client
from detectors.tables import find
from explain import explain
from explain.__main__ import main
from explain.explanation import ExplainError
from explain.hit_rates import hit_rate
from explain.measure import tables
from explain.measure.baselines import BASELINES
from explain.measure.bench import _naive, bench, measure
from explain.measure.evaluate import evaluate
from explain.measure.faithfulness import faithfulness, scramble
from explain.measure.partial_spoofs import partial_spoofs
from explain.measure.report import EXPERIMENT, log, merge

RATE = 16_000
METRICS = {
    "auc", "rra", "rma", "pointing", "chance", "deletion", "insertion", "deletion at random",
    "insertion at random", "seed", "mp3", "scrambled", "noise", "gain", "seconds", "failed",
}  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    manifest = tiny_corpus(tmp_path_factory.mktemp("corpus"), speakers=3)
    return [clip for clip in read_manifest(manifest, "dev") if not clip.is_spoof]


@pytest.fixture(scope="module")
def result(clips, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    return run(clips, scratch), scratch


def run(clips, scratch, methods=("occlusion",), threshold=0.5, **options):
    toys = {"toy": detector(threshold)}
    return evaluate(clips, toys, methods, checks=1, draws=1, scratch=scratch, **options)


def row(result, method, condition, metric):
    return find(result["rows"], method=method, condition=condition, metric=metric)


def detector(threshold: float = 0.5) -> Detector:
    """Hears energy at 3 kHz, and calls nearly everything with more of it than usual fake."""
    return toy(Tone(3000.0), window=24_000, calibration=Calibration(threshold=threshold))


def test_splices_change_what_they_say_and_nothing_else():
    x = voice(2.0, seed=2)
    spoofs = partial_spoofs(x, "a", ["lpc", "sinusoidal"], seed=0)
    assert [(s.kind, s.faker) for s in spoofs] == [
        ("control", ""), ("time", "lpc"), ("band", "lpc"),
        ("time", "sinusoidal"), ("band", "sinusoidal"),
    ]  # fmt: skip
    for spoof in spoofs:
        changed = np.abs(spoof.wave.samples - x) > 1e-6
        assert len(spoof.truth) == len(spoof.grid) - 1
        if spoof.kind != "band":
            seconds = np.flatnonzero(changed) / RATE
            assert spoof.low <= seconds.min() and seconds.max() < spoof.high
            assert 0.5 <= spoof.high - spoof.low <= 1.2  # at most 0.6 of the clip
            assert spoof.truth.sum() == round((spoof.high - spoof.low) / 0.01)
        else:
            power = np.square(np.abs(np.fft.rfft(spoof.wave.samples - x)))
            hz = np.fft.rfftfreq(len(x), 1 / RATE)
            inside = (hz > spoof.low - 100) & (hz < spoof.high + 100)
            assert power[inside].sum() > 0.99 * power.sum()
            assert spoof.truth.sum() == 8  # of 125 Hz


def test_splices_depend_on_seed_and_name_alone():
    x = voice(2.0)
    first, again, other = (partial_spoofs(x, name, ["lpc"], 0) for name in ("a", "a", "b"))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.wave.samples, two.wave.samples) and one.low == two.low
    assert first[0].low != other[0].low


def test_there_are_no_splices_in_silence_or_in_half_a_second():
    assert partial_spoofs(np.zeros(2 * RATE, np.float32), "a", ["lpc"], 0) == []
    assert partial_spoofs(voice(0.6), "a", ["lpc"], 0) == []


def test_a_band_is_exchanged_at_its_level():
    x, copy = voice(2.0, seed=1), 3 * voice(2.0, seed=4)
    power = [np.square(np.abs(np.fft.rfft(y))) for y in (x, splice_band(x, copy, 1000, 2000))]
    band = slice(2 * 1000, 2 * 2000)  # half a hertz a bin
    assert power[1][band].sum() == pytest.approx(power[0][band].sum(), rel=0.2)
    assert np.allclose(splice_band(x, x, 1000, 2000), x, atol=1e-5)
    with pytest.raises(ValueError, match="no band of 0 to 8000 Hz"):
        splice_band(x, copy, 2000, 1000)


def test_the_control_leaves_a_seam_blind_detector_unmoved():
    x = voice(1.5, seed=3)
    t = np.arange(len(x)) / RATE
    x += (0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)  # 5 ms are 15 of its periods
    blind = detector()
    before, after = (blind.score(waveform(y)).llr for y in (x, self_splice(x, 0.4, 1.1)))
    assert after == pytest.approx(before, rel=0.02) and before > 1
    assert not np.allclose(self_splice(x, 0.4, 1.1), x, atol=1e-3)


def test_json_holds_every_figure_of_every_method(result, clips):
    figures, _ = result
    json.dumps(figures, allow_nan=False)
    own = [row for row in figures["rows"] if row["detector"] == "toy"]
    assert {row["method"] for row in own} == {"occlusion", *BASELINES, ""}
    for method in ("occlusion", *BASELINES):
        # all of these clips is speech, and a map of one value everywhere has no ranks
        unranked = {"mp3", "scrambled"} if method == "voice-activity" else set()
        assert {row["metric"] for row in own if row["method"] == method} >= METRICS - unranked
    every = row(figures, "occlusion", "time all", "auc")
    assert every["n"] == 2 * len(clips)  # a faker seen and one unseen
    numbers = [row(figures, "occlusion", f"time{part}", "auc") for part in ("", " seen", " unseen")]
    flipped, seen, unseen = (figure["n"] if figure else 0 for figure in numbers)
    assert flipped == seen + unseen <= 2 * len(clips)
    assert row(figures, "occlusion", "band all", "auc") is None  # occlusion is over time
    assert row(figures, "energy", "band all", "auc")["n"] == 6
    assert find(figures["rows"], detector="planted", condition="time")["value"] == 1
    assert row(figures, "uniform", "time all", "auc")["value"] == pytest.approx(0.5, abs=0.02)
    chance = row(figures, "uniform", "time all", "chance")["value"]
    assert row(figures, "uniform", "time all", "rma")["value"] == pytest.approx(chance, abs=0.02)
    assert "| occlusion |" in tables.markdown({**figures, "split": "dev"})


def test_slow_methods_can_be_kept_to_the_splices_that_flip_the_verdict(result, clips, tmp_path):
    every, few = (
        run(clips, tmp_path / f"{flipped}.jsonl", threshold=0.08, flipped_only=flipped)
        for flipped in (False, True)
    )
    whole, short = (
        {
            (r["condition"], r["metric"]): r
            for r in one["rows"]
            if r["method"] == "occlusion" and r["metric"] in tables.SCORES
        }
        for one in (every, few)
    )
    assert 0 < whole["time", "auc"]["n"] < whole["time all", "auc"]["n"]
    unconditional = ("time all", "band all", "control")
    assert short == {key: r for key, r in whole.items() if key[0] not in unconditional}
    taken = [sorted((r for r in one["rows"] if r["method"] == ""), key=str) for one in (every, few)]
    assert taken[0] == taken[1]  # by the maps that know nothing
    assert row(every, "energy", "time", "auc") == row(few, "energy", "time", "auc")
    with pytest.raises(ExplainError, match="another evaluation"):
        run(clips, result[1], flipped_only=True)


def test_checks_wait_for_a_clip_with_something_to_explain(clips, tmp_path):
    places = set()
    for order in (clips, clips[1:] + clips[:1], clips[2:] + clips[:2]):
        scratch = tmp_path / f"{Path(order[0].id).name}.jsonl"
        run(order, scratch, threshold=0.08, flipped_only=True)
        trials = [json.loads(line)["trial"] for line in scratch.read_text().splitlines()[1:]]
        own = [trial for trial in trials if trial["method"] == "occlusion"]
        explained = [place for place, trial in enumerate(own) if trial["splices"]]
        checked = [place for place, trial in enumerate(own) if trial["checks"] is not None]
        assert checked == explained[:1]
        places |= set(checked)
        assert all(trial["checks"] is None for trial in trials if trial["method"] == "energy")
    assert len(places) > 1


def test_a_killed_run_goes_on_and_ends_the_same(result, clips, tmp_path):
    figures, scratch = result
    lines = scratch.read_text().splitlines(keepends=True)
    cut = tmp_path / "rows.jsonl"
    cut.write_text("".join(lines[:6]) + lines[6][:100])  # killed within a line
    resumed = run(clips, cut)
    rows = [[r for r in one["rows"] if r["metric"] != "seconds"] for one in (figures, resumed)]
    assert rows[0] == rows[1] and len(rows[0]) > 100
    assert len(cut.read_text().splitlines()) >= len(lines)


def test_rows_of_another_evaluation_are_refused(result, clips):
    _, scratch = result
    with pytest.raises(ExplainError, match="holds the clips of another evaluation"):
        run(clips[:2], scratch)


def test_a_method_of_no_detector_and_clips_without_speech_are_refused(clips, tmp_path):
    with pytest.raises(ExplainError, match="'gradcam' explains none of toy"):
        run(clips, tmp_path / "none.jsonl", ["gradcam"])
    import soundfile

    silent = tmp_path / "silent.flac"
    soundfile.write(silent, np.zeros(2 * RATE), RATE)
    with pytest.raises(ExplainError, match="None of the 1 clips holds half a second of speech"):
        run([dataclasses.replace(clips[0], path=silent)], tmp_path / "silent.jsonl")


def test_only_flipped_splices_count_and_clips_are_what_is_drawn_again():
    def splice(flipped, auc, faker="lpc"):
        base = {"kind": "time", "shift": 1.0, "real_before": True, "cells": [0.0, 1.0]}
        scores = {"auc": auc, "rra": auc, "rma": auc, "pointing": auc, "chance": 0.5}
        return {**base, **scores, "faker": faker, "flipped": flipped, "inside": [1, 2]}

    common = {"method": "m", "detector": "d", "seconds": [1.0], "residual": 1e-7}
    common |= {"checks": None, "failed": None, "skipped": False}
    splices = [
        [splice(True, 1.0), splice(True, 0.5, "world")],
        [splice(True, 0.25), splice(False, 0.0, "world")],
    ]
    trials = [
        {**common, "clip": name, "splices": own} for name, own in zip("ab", splices, strict=True)
    ]
    result = {"rows": tables.summarise(trials)}
    auc = row(result, "m", "time", "auc")
    assert auc["n"] == 3 and auc["value"] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert (auc["low"], auc["high"]) == (0.25, 0.75)
    assert row(result, "m", "time unseen", "auc")["value"] == pytest.approx(0.625)
    assert row(result, "m", "time seen", "auc")["value"] == 0.5
    assert row(result, "m", "time all", "auc")["n"] == 4
    assert row(result, "m", "time", "eer")["value"] == 0
    assert row(result, "m", "time", "f1")["value"] == 1
    dev = [{**row(result, "m", "time", "threshold"), "value": 2.0}]
    fixed = {"rows": tables.summarise(trials, dev)}
    assert row(fixed, "m", "time", "threshold")["value"] == 2.0
    assert row(fixed, "m", "time", "f1")["value"] == 0  # nothing is above it
    taken = {"rows": list(tables.reactions(trials))}
    assert row(taken, "", "time lpc", "flipped")["value"] == 1
    assert row(taken, "", "time world", "flipped")["value"] == 0.5


def test_figures_are_merged_into_one_file_a_detector(result, monkeypatch, tmp_path):
    figures = {**result[0], "split": "dev"}
    subject = detector()
    merge(tmp_path, {"toy": "toy/two"}, figures)
    (path,) = tmp_path.iterdir()
    assert path.name == "toy-two.json"
    table = json.loads(path.read_text())
    assert (table["digest"], table["clips"], table["split"]) == (subject.digest, 3, "dev")
    assert set(table["methods"]) == {"occlusion"}
    every = row(figures, "occlusion", "time all", "auc")
    kept = table["methods"]["occlusion"]["time all/auc"]
    assert kept[0] == pytest.approx(every["value"], rel=1e-5) and kept[3] == every["n"]
    # of two runs the one with more clips counts, and what only the other measured stays
    more = {**figures, "clips": 9, "rows": [{**every, "value": 0.9, "condition": "time"}]}
    merge(tmp_path, {"toy": "toy/two"}, more)
    merge(tmp_path, {"toy": "toy/two"}, {**more, "clips": 8, "rows": [{**every, "value": 0.1}]})
    own = json.loads(path.read_text())["methods"]["occlusion"]
    assert own["clips"] == 9 and own["time/auc"][0] == 0.9 and own["time all/auc"][0] == 0.1
    assert "noise/deletion" in own
    monkeypatch.setattr("explain.hit_rates.MEASURED", tmp_path)
    assert hit_rate(subject, "occlusion").auc == 0.9
    # the AUCs of the same weights on dev go beside
    at_home = {**every, "detector": "here", "condition": "time", "value": 0.3}
    dev = {"rows": [at_home], "digests": {"here": subject.digest}}
    merge(tmp_path, {"toy": "toy/two"}, more, dev)
    assert json.loads(path.read_text())["methods"]["occlusion"]["time/auc on dev"][0] == 0.3
    assert json.loads(path.read_text())["methods"]["occlusion"]["time/auc"][0] == 0.9
    merge(tmp_path, {"toy": "toy/two"}, {**more, "digests": {"toy": "retrained"}})
    assert set(json.loads(path.read_text())["methods"]["occlusion"]) == {"clips", "time/auc"}


def test_deletion_knows_a_map_that_is_right_from_one_that_is_wrong():
    from explain.explanation import Explanation

    t = np.arange(RATE) / RATE
    x = 0.01 * np.random.default_rng(0).standard_normal(RATE)
    x += 0.3 * np.sin(2 * np.pi * 1000 * t) * ((t >= 0.5) & (t < 0.7))
    edges = np.linspace(0, 1, 11)
    right = np.isin(np.arange(10), [5, 6]).astype(float)
    areas = [
        faithfulness(
            toy(Tone(1000.0)), waveform(x), "time",
            Explanation(values=values, times=edges, full=0.0),
        )
        for values in (right, -right)
    ]  # fmt: skip
    for fill in ("noise", "zeros"):
        assert areas[0]["deletion"][fill] < 0.4 * areas[1]["deletion"][fill]
        assert areas[0]["insertion"][fill] > 2 * areas[1]["insertion"][fill]


def test_a_scrambled_detector_keeps_its_weights_in_another_order():
    torch.manual_seed(0)
    plain = Detector(Config("small", "cnn", {"channels": (4, 4)}, window=8000))
    other = scramble(plain)
    for a, b in zip(plain.net.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)
    x = torch.randn(1, 8000)
    assert not torch.equal(plain.logits(x), other.logits(x))


def test_the_table_is_logged_to_mlflow(result, tmp_path, monkeypatch):
    use_store(tmp_path, monkeypatch)
    log({**result[0], "split": "dev"}, "a table", result[1])
    (logged,) = mlflow_client().search_runs(
        [mlflow_client().get_experiment_by_name(EXPERIMENT).experiment_id]
    )
    auc = row(result[0], "energy", "control", "auc")
    assert logged.data.metrics["energy/toy/control/auc"] == pytest.approx(auc["value"])
    assert logged.data.params["clips"] == "3" and logged.info.status == "FINISHED"
    files = mlflow_client().list_artifacts(logged.info.run_id, "explanations")
    names = [Path(file.path).name for file in files]
    assert names == ["clips.jsonl", "explanations.json", "explanations.md"]


def test_bench_measures_in_a_fresh_process_and_the_naive_game_agrees():
    torch.manual_seed(0)
    fresh = measure("cnn", "saliency")
    assert 0 < fresh["seconds"] < 60 and 100 < fresh["peak_mb"] < 4000
    with pytest.raises(ExplainError, match="'tarot' explains none of cnn"):
        bench(["cnn"], ["tarot"])
    small = Detector(Config("small", "cnn", {"channels": (4, 4)}, window=8000))
    wave = waveform(voice(0.5))
    naive, fast = _naive(small, wave), explain(small, wave)
    assert naive.values == pytest.approx(fast.values, abs=1e-4)
    assert naive.forwards == 256 and naive.residual < 1e-6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--manifest", "none.csv"], "There is no manifest at none.csv"),
        (["--manifest", "{m}", "--split", "nowhere"], "no clips of the split 'nowhere'"),
        (["--manifest", "{m}", "--detectors", "nobody"], "There is no detector 'nobody'"),
        (["--manifest", "{m}", "--dev", "none.json"], "none.json cannot be read"),
        (["--manifest", "{m}", "--dev", "."], ". cannot be read: Is a directory"),
        (
            ["--manifest", "{m}", "--methods", "tarot", "--detectors", "cnn"],
            "'tarot' explains none",
        ),
    ],
)
def test_bad_input_is_one_sentence(clips, capsys, arguments, sentence):
    manifest = clips[0].path.parent / "manifest.csv"
    assert main(["evaluate", *(a.format(m=manifest) for a in arguments)]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_missing_folder_is_refused_before_the_work(clips, capsys):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--manifest", str(clips[0].path), "--json", "/no/such/folder/x.json"])
    assert end.value.code == 2 and "there is no folder" in capsys.readouterr().err
