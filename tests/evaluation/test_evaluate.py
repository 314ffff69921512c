"""The evaluate command's library, with a detector that reads its answer from the audio."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import toy

from corpora.manifest import Clip
from detectors import Config, Detector, load
from detectors.config import Calibration
from detectors.errors import HearsayError
from detectors.models.network import Network
from evaluation import metrics
from evaluation.evaluate import SHORTCUTS, evaluate, measure, shortcuts
from evaluation.tables import markdown

RATE = 16_000
COLUMNS = ("id", "path", "label", "split", "system", "family", "speaker", "source")


class First(Network):
    """Logit = what the window's first sample has beyond 0.3, times 100."""

    def forward(self, x):
        return 100 * (x[:, 0] - 0.3)


def planted(threshold=0.0):
    """Scores a clip of up to a second by its first sample, times 100."""
    return toy(First(), calibration=Calibration(threshold=threshold))


def sound(llr, seconds=0.6, seed=0):
    """Noise with a score planted in it, loud from its first sample on and without an offset."""
    x = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    x[0], x[-1] = 0.3 + llr / 100, 0.3
    x[1:-1] -= x.sum() / (len(x) - 2)
    return x.astype(np.float32)


def corpus(folder, rows, audio):
    """A manifest in `folder` with the files that it names; audio: id -> samples or bytes."""
    (folder / "clips").mkdir()
    for name, content in audio.items():
        path = folder / "clips" / f"{name}.wav"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            soundfile.write(path, content, RATE, subtype="FLOAT")
    with (folder / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([name, f"clips/{name}.wav", *rest] for name, *rest in rows)
    return folder / "m.csv"


def small(folder, split="test"):
    """Eight speakers of either label, one spoof and one bona fide clip on the wrong side of 0."""
    rows, audio = [], {}
    for i in range(8):
        rows.append((f"r{i}", "bonafide", split, "bonafide", "bonafide", f"p{i}", "site"))
        audio[f"r{i}"] = sound(1.0 if i == 0 else -2.0 - 0.1 * i, seed=i)
        rows.append((f"f{i}", "spoof", split, "vits", "tts", f"q{i}", "site"))
        audio[f"f{i}"] = sound(-1.0 if i == 0 else 2.0 + 0.1 * i, seed=20 + i)
    return corpus(folder, rows, audio)


def clip(i, label="bonafide", source="s", system="bonafide", speaker=None, family=None):
    return Clip(
        id=str(i),
        path=Path(f"/{i}.wav"),
        label=label,
        system=system,
        family=family or ("tts" if label == "spoof" else "bonafide"),
        speaker=speaker or f"v{i}",
        source=source,
    )


def test_the_result_is_the_metrics_on_the_scores(tmp_path, monkeypatch):
    manifest = small(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    result = evaluate(manifest.relative_to(tmp_path.parent), "test", {"toy": planted(0.0)}, seed=3)
    assert result == json.loads(json.dumps(result, allow_nan=False))
    assert (result["split"], result["seed"], result["clips"]) == ("test", 3, 16)
    assert set(result["shortcuts"]) == set(SHORTCUTS)
    toy = result["models"]["toy"]
    llr = [1.0, *(-2.0 - 0.1 * i for i in range(1, 8)), -1.0, *(2.0 + 0.1 * i for i in range(1, 8))]
    labels = [0] * 8 + [1] * 8
    assert toy["pooled"]["eer"] == pytest.approx(metrics.eer(llr, labels))
    assert toy["pooled"]["auc"] == pytest.approx(metrics.auc(llr, labels))
    assert toy["pooled"]["eer_ci"][0] <= toy["pooled"]["eer"] <= toy["pooled"]["eer_ci"][1]
    for name in ("cllr", "min_cllr", "min_dcf", "act_dcf"):
        assert toy[name] == pytest.approx(getattr(metrics, name)(llr, labels), abs=1e-5)
    assert sum(sum(row.values()) for row in toy["verdicts"].values()) == 16
    assert toy["at_dev_threshold"]["confusion"] == {"tp": 7, "fn": 1, "fp": 1, "tn": 7}
    assert toy["failed"] == 0
    assert toy["same_source"]["clips"] == 16


def test_the_threshold_is_the_one_stored_with_the_detector(tmp_path):
    detectors = {"strict": planted(1.5), "lax": planted(-1.5)}
    models = evaluate(small(tmp_path), "test", detectors)["models"]
    assert models["strict"]["at_dev_threshold"]["specificity"] == 1
    assert models["lax"]["at_dev_threshold"]["sensitivity"] == 1
    assert models["strict"]["pooled"] == models["lax"]["pooled"]


def test_three_columns_and_no_split_suffice(tmp_path):
    manifest = small(tmp_path)
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    lines = [f"{row['path']},{row['label']},{row['speaker']}" for row in rows]
    manifest.write_text("\n".join(["path,label,speaker", *lines]))
    result = evaluate(manifest, None, {"toy": planted()})
    assert result["split"] is None
    toy = result["models"]["toy"]
    assert toy["same_source"]["clips"] == 0  # nothing is known of the sources
    assert toy["same_source"]["eer"] is None
    assert set(toy["by_family"]) == set(toy["by_system"]) == {"unknown"}
    assert toy["by_family"]["unknown"]["against"] == "all"
    assert "| toy |" in markdown(result)


def test_a_table_of_few_clips_has_dashes(tmp_path):
    manifest = small(tmp_path)
    kept = [line for line in manifest.read_text().splitlines() if ",spoof," not in line]
    spoofs = [line for line in manifest.read_text().splitlines() if ",spoof," in line]
    manifest.write_text("\n".join([*kept, *spoofs[:2]]))
    text = markdown(evaluate(manifest, "test", {"toy": planted()}))
    assert "| toy | - (n = 2) | - (n = 2) | - |" in text


def test_no_clip_drops_out_silently(tmp_path):
    manifest = small(tmp_path)
    clips = tmp_path / "clips"
    (clips / "f3.wav").write_bytes(b"not a sound")
    soundfile.write(clips / "f4.wav", sound(2.0, seconds=0.05), RATE, subtype="FLOAT")  # too short
    silence = np.zeros(RATE, dtype=np.float32)
    soundfile.write(clips / "r4.wav", silence, RATE, subtype="FLOAT")  # no speech in it
    (clips / "r5.wav").write_bytes(b"")
    soundfile.write(clips / "r6.wav", np.array([np.nan] * RATE), RATE, subtype="FLOAT")
    scores = tmp_path / "scores.csv"
    result = evaluate(manifest, "test", {"toy": planted()}, scores_out=scores, max_unreadable=0.2)
    toy = result["models"]["toy"]
    assert list(result["unreadable"]) == ["f3", "r5", "r6"]
    assert result["unreadable"]["r5"] == "The file is empty."
    assert (result["clips"], toy["failed"], toy["pooled"]["clips"]) == (16, 3, 13)
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    assert list(rows[0]) == ["id", "label", "model", "llr"]
    assert [row["id"] for row in rows if not row["llr"]] == ["f3", "r5", "r6"]
    assert len(rows) == 16
    assert float({row["id"]: row["llr"] for row in rows}["r4"]) == pytest.approx(-30)  # of zeros
    assert float(next(row["llr"] for row in rows if row["id"] == "f4")) == pytest.approx(2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips", "m.csv", "scores.csv"]


def test_one_label_or_no_clips_is_refused(tmp_path):
    rows = [(f"r{i}", "bonafide", "test", "", "", f"p{i}", "s") for i in range(3)]
    manifest = corpus(tmp_path, rows, {f"r{i}": sound(1.0) for i in range(3)})
    with pytest.raises(HearsayError, match="are bonafide; both labels"):
        evaluate(manifest, "test", {"toy": planted()})
    with pytest.raises(HearsayError, match="no clips of the split 'dev'"):
        evaluate(manifest, "dev", {"toy": planted()})


def test_a_label_that_cannot_be_decoded_at_all_is_refused(tmp_path):
    manifest = small(tmp_path)
    for path in (tmp_path / "clips").glob("f*.wav"):
        path.write_bytes(b"not a sound")
    with pytest.raises(HearsayError, match="toy could score no clips of one"):
        evaluate(manifest, "test", {"toy": planted()}, max_unreadable=1)


def test_too_many_unreadable_clips_are_refused_and_the_scores_stay(tmp_path, capsys):
    manifest, scores = small(tmp_path), tmp_path / "scores.csv"
    for name in ("f3", "r5"):
        (tmp_path / "clips" / f"{name}.wav").write_bytes(f"{name} is not a sound".encode())
    with pytest.raises(HearsayError, match=r"2 of 16 clips cannot be read.*--max-unreadable"):
        evaluate(manifest, "test", {"toy": planted()}, scores_out=scores)
    said = capsys.readouterr().err
    assert "f3.wav was left out: The file" in said and "r5.wav was left out" in said
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    assert [row["id"] for row in rows if not row["llr"]] == ["f3", "r5"]


def test_scores_are_kept_when_a_detector_fails_midway(tmp_path):
    class Failing(First):
        def forward(self, x):
            if len(calls) > 4:
                raise RuntimeError("out of memory")
            calls.append(x)
            return super().forward(x)

    calls, scores = [], tmp_path / "scores.csv"
    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate(small(tmp_path), "test", {"toy": toy(Failing())}, scores_out=scores)
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    assert 0 < sum(bool(row["llr"]) for row in rows) < len(rows) == 16


def test_a_detector_folder_is_named_by_its_weights(tmp_path):
    folder = tmp_path / "untrained"
    Detector(Config(name="untrained", architecture="cnn", window=RATE)).save(folder)
    (tmp_path / "corpus").mkdir()
    model = evaluate(small(tmp_path / "corpus"), "test", {str(folder): load(folder)})["models"][
        str(folder)
    ]
    assert len(model["version"]) == 12
    assert model["pooled"]["clips"] == 16


def test_verdicts_are_those_that_the_page_gives():
    clips = [clip(i) for i in range(4)] + [clip(i, "spoof", "a", "vits") for i in range(4, 8)]
    llr = np.array([-2.0, -2, 0.1, 2, -2, 0.1, 2, 2])
    band = Calibration(threshold=0.0, abstain=(-1.0, 1.0))
    assert measure(clips, llr, band)["verdicts"] == {
        "spoof": {"fake": 2, "inconclusive": 1, "real": 1},
        "bonafide": {"fake": 1, "inconclusive": 1, "real": 2},
    }


def test_same_source_leaves_out_sources_of_one_label():
    clips = [clip(i, source="both#a") for i in range(6)]
    clips += [clip(i, "spoof", "both#a", "vits") for i in range(6, 12)]
    clips += [clip(i, source="real-only") for i in range(12, 18)]  # easy to tell by the channel
    clips += [clip(i, "spoof", "both#b", "vits") for i in range(18, 24)]
    llr = np.array([0.0, 1] * 6 + [-9.0] * 6 + [9.0] * 6)
    figures = measure(clips, llr, Calibration())
    assert figures["same_source"]["clips"] == 12
    assert figures["same_source"]["eer"] == pytest.approx(0.5)
    assert figures["pooled"]["clips"] == 24
    assert figures["pooled"]["eer"] < 0.3


def test_a_family_meets_the_bona_fide_clips_of_its_sources_where_there_are_enough():
    clips = [clip(i, source="a") for i in range(10)] + [clip(i, source="b") for i in range(10, 19)]
    clips += [clip(i, "spoof", "a", "vits", family="tts") for i in range(20, 25)]
    clips += [clip(i, "spoof", "b", "freevc", family="vc") for i in range(30, 35)]
    llr = np.array([0.0] * 10 + [-5.0] * 9 + [-1.0] * 5 + [-1.0] * 5)
    families = measure(clips, llr, Calibration())["by_family"]
    tts, vc = families["tts"], families["vc"]
    assert (tts["against"], tts["bonafide"], tts["spoof"], tts["clips"]) == (
        "same-source",
        10,
        5,
        15,
    )
    assert tts["auc"] == 0
    assert (vc["against"], vc["bonafide"], vc["spoof"], vc["clips"]) == ("all", 19, 5, 24)
    assert vc["auc"] == pytest.approx(9 / 19)


def test_few_clips_have_no_rate_and_few_speakers_no_interval():
    clips = [clip(i) for i in range(12)]
    clips += [clip(i, "spoof", system="two") for i in range(20, 22)]
    clips += [clip(i, "spoof", system="three", speaker=f"x{i % 2}") for i in range(30, 33)]
    clips += [clip(i, "spoof", system="five") for i in range(40, 45)]
    llr = np.array([-1.0] * 12 + [1.0] * 10)
    systems = measure(clips, llr, Calibration())["by_system"]
    assert systems["two"]["spoof"] == 2
    assert systems["two"]["eer"] is systems["two"]["auc"] is systems["two"]["eer_ci"] is None
    assert (systems["three"]["eer"], systems["three"]["eer_ci"]) == (0, None)
    assert (systems["five"]["eer"], systems["five"]["eer_ci"]) == (0, [0, 0])


def test_measuring_is_deterministic_in_the_seed():
    chance = np.random.default_rng(0)
    clips = [clip(i, ("bonafide", "spoof")[i % 2], system="vits") for i in range(60)]
    llr = chance.normal(size=60) + np.arange(60) % 2
    assert measure(clips, llr, Calibration(), seed=1) == measure(clips, llr, Calibration(), seed=1)
    assert measure(clips, llr, Calibration(), seed=1) != measure(clips, llr, Calibration(), seed=2)


def test_cues_are_in_seconds_and_decibels():
    t = np.arange(RATE) / RATE
    low, high = np.sin(2 * np.pi * 2000 * t), np.sin(2 * np.pi * 7500 * t)
    x = np.concatenate([np.zeros(RATE // 4), 0.1 * low + 0.1 * high]).astype(np.float32)
    duration, level, bandwidth, leading = shortcuts(x)
    assert duration == 1.25
    assert level == pytest.approx(10 * math.log10(0.01 / 1.25), abs=0.01)
    assert bandwidth == pytest.approx(10 * math.log10(0.5), abs=0.05)
    assert leading == 0.25
    assert all(math.isfinite(cue) for cue in shortcuts(np.zeros(100, dtype=np.float32)))


@pytest.mark.parametrize("longer", ["r", "f"])
def test_a_shortcut_counts_in_its_better_direction(tmp_path, longer):
    manifest = small(tmp_path)
    for path in (tmp_path / "clips").glob(f"{longer}*.wav"):
        soundfile.write(path, sound(1.0, seconds=0.8), RATE, subtype="FLOAT")
    aucs = evaluate(manifest, "test", {"toy": planted()})["shortcuts"]
    assert aucs["duration"] == 1
    assert all(auc >= 0.5 for auc in aucs.values())


def test_the_table_names_every_detector_family_and_shortcut(tmp_path):
    detectors = {"one": planted(), "two": planted(1.5)}
    text = markdown(evaluate(small(tmp_path), "test", detectors))
    assert "16 clips, split test" in text
    assert "| one | 12.5 [" in text
    assert "| EER by family | one | two |" in text
    assert "| tts | 12.5 [" in text
    assert "| leading silence | 0." in text
