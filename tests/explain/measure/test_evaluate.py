"""Evaluating explanations: swaps, rows, figures and the command."""

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
from explain import explain
from explain.__main__ import main
from explain.explanation import ExplainError
from explain.measure import tables
from explain.measure.baselines import TRIVIAL
from explain.measure.bench import _naive, bench, measure
from explain.measure.evaluate import evaluate
from explain.measure.faithfulness import faithfulness, scramble
from explain.measure.partial_spoofs import make_swaps
from explain.measure.report import EXPERIMENT, log, markdown

RATE = 16_000
FIGURES = {
    "time_swap", "band_swap", "control", "deletion", "insertion", "random_order", "residual",
    "seed_stability", "mp3_stability", "max_sensitivity", "randomisation", "seconds", "peak_mb",
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
    return evaluate(clips, toys, methods, probes=1, draws=1, scratch=scratch, **options)


def detector(threshold: float = 0.5) -> Detector:
    """Hears energy at 3 kHz, and calls nearly everything with more of it than usual fake."""
    return toy(Tone(3000.0), window=24_000, calibration=Calibration(threshold=threshold))


def test_swaps_change_what_they_say_and_nothing_else():
    x = voice(2.0, seed=2)
    swaps = make_swaps(x, "a", ["lpc", "sinusoidal"], seed=0)
    assert [(s.kind, s.faker) for s in swaps] == [
        ("control", ""), ("time", "lpc"), ("band", "lpc"),
        ("time", "sinusoidal"), ("band", "sinusoidal"),
    ]  # fmt: skip
    for swap in swaps:
        changed = np.abs(swap.wave.samples - x) > 1e-6
        assert len(swap.truth) == len(swap.grid) - 1
        if swap.kind != "band":
            seconds = np.flatnonzero(changed) / RATE
            assert swap.low <= seconds.min() and seconds.max() < swap.high
            assert 0.5 <= swap.high - swap.low <= 1.2  # at most 0.6 of the clip
            assert swap.truth.sum() == round((swap.high - swap.low) / 0.01)
        else:
            power = np.square(np.abs(np.fft.rfft(swap.wave.samples - x)))
            hz = np.fft.rfftfreq(len(x), 1 / RATE)
            inside = (hz > swap.low - 100) & (hz < swap.high + 100)
            assert power[inside].sum() > 0.99 * power.sum()
            assert swap.truth.sum() == 8  # of 125 Hz


def test_swaps_depend_on_seed_and_name_alone():
    x = voice(2.0)
    first, again, other = (make_swaps(x, name, ["lpc"], 0) for name in ("a", "a", "b"))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.wave.samples, two.wave.samples) and one.low == two.low
    assert first[0].low != other[0].low


def test_there_are_no_swaps_in_silence_or_in_half_a_second():
    assert make_swaps(np.zeros(2 * RATE, np.float32), "a", ["lpc"], 0) == []
    assert make_swaps(voice(0.6), "a", ["lpc"], 0) == []


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
    assert set(figures["methods"]) == {"occlusion", *TRIVIAL}
    for by_detector in figures["methods"].values():
        assert by_detector["toy"].keys() >= FIGURES
    time = figures["methods"]["occlusion"]["toy"]["time_swap"]
    assert {"auc", "auc_ci", "rra", "rma", "chance", "n", "pointing", "eer", "f1"} <= time.keys()
    assert time["unconditional"]["n"] == 2 * len(clips)  # a faker seen and one unseen
    assert time["n"] == time["seen"]["n"] + time["unseen"]["n"] <= 2 * len(clips)
    band = figures["methods"]["occlusion"]["toy"]["band_swap"]["unconditional"]
    assert band["n"] == 0 and band["auc"] is None  # occlusion is over time
    assert figures["methods"]["energy"]["toy"]["band_swap"]["unconditional"]["n"] == 6
    assert figures["planted"]["occlusion"]["window"] == 1
    uniform = figures["methods"]["uniform"]["toy"]["time_swap"]["unconditional"]
    assert uniform["auc"] == pytest.approx(0.5, abs=0.02)
    assert uniform["rma"] == pytest.approx(uniform["chance"], abs=0.02)
    assert "| occlusion |" in markdown({**figures, "manifest_split": "dev"})


def test_slow_methods_can_be_kept_to_the_edits_that_turn_the_verdict(result, clips, tmp_path):
    every, few = (
        run(clips, tmp_path / f"{turned}.jsonl", threshold=0.08, turned=turned)
        for turned in (False, True)
    )
    whole, short = (one["methods"]["occlusion"]["toy"] for one in (every, few))
    assert 0 < whole["time_swap"]["n"] < whole["time_swap"]["unconditional"]["n"]
    conditional = {k: v for k, v in whole["time_swap"].items() if k != "unconditional"}
    assert conditional == {k: v for k, v in short["time_swap"].items() if k != "unconditional"}
    for rest in (short["time_swap"]["unconditional"], short["control"]):
        assert rest["n"] == 0 and rest["auc"] is None
    assert few["detectors"] == every["detectors"]  # by the maps that know nothing
    ignorant = [one["methods"]["energy"]["toy"]["time_swap"] for one in (every, few)]
    assert ignorant[0] == ignorant[1]
    with pytest.raises(ExplainError, match="another evaluation"):
        run(clips, result[1], turned=True)


def test_probes_wait_for_a_clip_with_something_to_explain(clips, tmp_path):
    places = set()
    for order in (clips, clips[1:] + clips[:1], clips[2:] + clips[:2]):
        scratch = tmp_path / f"{Path(order[0].id).name}.jsonl"
        run(order, scratch, threshold=0.08, turned=True)
        rows = [json.loads(line)["row"] for line in scratch.read_text().splitlines()[1:]]
        own = [row for row in rows if row["method"] == "occlusion"]
        explained = [place for place, row in enumerate(own) if row["swaps"]]
        probed = [place for place, row in enumerate(own) if row["probe"] is not None]
        assert probed == explained[:1]
        places |= set(probed)
        assert all(row["probe"] is None for row in rows if row["method"] == "energy")
    assert len(places) > 1


def test_a_killed_run_goes_on_and_ends_the_same(result, clips, tmp_path):
    figures, scratch = result
    lines = scratch.read_text().splitlines(keepends=True)
    cut = tmp_path / "rows.jsonl"
    cut.write_text("".join(lines[:6]) + lines[6][:100])  # killed within a line
    resumed = run(clips, cut)
    for one in (figures, resumed):
        for by_detector in one["methods"].values():
            by_detector["toy"].pop("seconds", None)
    assert resumed == figures
    assert len(cut.read_text().splitlines()) >= len(lines)


def test_rows_of_another_evaluation_are_refused(result, clips):
    _, scratch = result
    with pytest.raises(ExplainError, match="holds the clips of another evaluation"):
        run(clips[:2], scratch)


def test_a_method_of_no_detector_and_clips_without_speech_are_refused(clips, tmp_path):
    with pytest.raises(ExplainError, match="'gradcam' explains none of toy"):
        run(clips, None, ["gradcam"])
    import soundfile

    silent = tmp_path / "silent.flac"
    soundfile.write(silent, np.zeros(2 * RATE), RATE)
    with pytest.raises(ExplainError, match="None of the 1 clips holds half a second of speech"):
        run([dataclasses.replace(clips[0], path=silent)], None)


def test_only_flipped_swaps_count_and_clips_are_what_is_drawn_again():
    def swap(flipped, auc, faker="lpc"):
        base = {"kind": "time", "shift": 1.0, "real_before": True, "cells": [0.0, 1.0]}
        scores = {"auc": auc, "rra": auc, "rma": auc, "pointing": auc, "chance": 0.5}
        return {**base, **scores, "faker": faker, "flipped": flipped, "inside": [1, 2]}

    common = {"method": "m", "detector": "d", "seconds": [1.0], "residual": 1e-7}
    common |= {"probe": None, "failed": None, "skipped": False}
    swaps = [
        [swap(True, 1.0), swap(True, 0.5, "world")],
        [swap(True, 0.25), swap(False, 0.0, "world")],
    ]
    rows = [{**common, "clip": name, "swaps": s} for name, s in zip("ab", swaps, strict=True)]
    dev = {"methods": {"m": {"d": {"time_swap": {"threshold": 2.0}, "band_swap": {}}}}}
    got = tables.figures(rows, ["m"], ["d"], None)["m"]["d"]["time_swap"]
    assert got["n"] == 3 and got["clips"] == 2
    assert got["auc"] == pytest.approx((1 + 0.5 + 0.25) / 3) and got["auc_ci"] == [0.25, 0.75]
    assert got["unseen"]["auc"] == pytest.approx(0.625) and got["seen"]["auc"] == 0.5
    assert got["unconditional"]["n"] == 4
    assert got["eer"] == 0 and got["f1"] == 1
    fixed = tables.figures(rows, ["m"], ["d"], dev)["m"]["d"]["time_swap"]
    assert fixed["threshold"] == 2.0 and fixed["f1"] == 0  # nothing is above it
    taken = tables.reaction(rows)["time"]
    assert taken["lpc"]["flipped"] == 1 and taken["world"]["flipped"] == 0.5


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
    log({**result[0], "manifest_split": "dev"}, "a table")
    (logged,) = mlflow_client().search_runs(
        [mlflow_client().get_experiment_by_name(EXPERIMENT).experiment_id]
    )
    auc = result[0]["methods"]["energy"]["toy"]["control"]["auc"]
    assert logged.data.metrics["energy/toy/control/auc"] == pytest.approx(auc)
    assert logged.data.params["clips"] == "3" and logged.info.status == "FINISHED"
    files = mlflow_client().list_artifacts(logged.info.run_id, "explanations")
    assert [Path(f.path).name for f in files] == ["explanations.json", "explanations.md"]


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
        (["--manifest", "{m}", "--dev-thresholds", "none.json"], "none.json cannot be read"),
        (["--manifest", "{m}", "--dev-thresholds", "."], ". cannot be read: Is a directory"),
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
