"""The commands as typed: train, evaluate, card, register, promote, list, and what they refuse."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from stores import use_store
from tiny_corpus import tiny_corpus

from corpora.channels import CONDITIONS
from detectors import Detector, load
from detectors.config import Calibration
from detectors.mlflow_store import mlflow_client
from training.__main__ import main

RECIPE = """
name: small
architecture: cnn
options: {channels: [4, 8], embedding: 8}
copies: [griffin-lim]
window: 16000
epochs: 2
pairs: 16
batch: 8
crop_s: [0.8, 1.0]
lr: 3.0e-3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a trained run in it, made by the command, and a registry of its own."""
    folder = tmp_path_factory.mktemp("place")
    manifest = tiny_corpus(folder / "corpus", speakers=6)
    (folder / "small.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        use_store(folder, patch)
        patch.chdir(folder)
        patch.setenv("HEARSAY_MANIFEST", str(manifest))
        assert main(["--threads", "1", "train", "small.yaml"]) == 0
        yield folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_training_leaves_a_calibrated_detector_with_a_card(place):
    detector = Detector.open(place / "runs/small/detector")
    dev = detector.config.figures["dev"]
    assert 0 <= dev["eer"] <= 1 and len(dev["eer_ci"]) == 2
    assert detector.config.calibration.scale > 0
    card = (place / "runs/small/detector/card.md").read_text()
    for part in ("## Data", "## Figures", "## Limits", "12 to select", '"griffin-lim"'):
        assert part in card
    assert "18 clips to learn from (6 of them copies of bona fide ones by griffin-lim)" in card


def test_training_is_tracked(place):
    experiment = mlflow_client().get_experiment_by_name("small")
    (tracked,) = mlflow_client().search_runs([experiment.experiment_id])
    assert tracked.data.params["architecture"] == "cnn"
    assert tracked.data.params["copies"] == "('griffin-lim',)"
    assert len(tracked.data.params["corpus_hash"]) == 64
    assert len(mlflow_client().get_metric_history(tracked.info.run_id, "held_eer")) == 2
    figures = mlflow_client().list_artifacts(tracked.info.run_id, "figures")
    assert {"figures/det.png", "figures/confusion.png"} <= {file.path for file in figures}


def test_calibrating_again_gives_the_same_detector_and_repairs_another_one(place, capsys):
    trained = Detector.open(place / "runs/small/detector")
    folder = place / "again"
    off = Calibration(scale=9.0, offset=3.0)
    text = (place / "runs/small/detector/card.md").read_text()
    Detector(replace(trained.config, calibration=off, figures={}), trained.net).save(folder, text)
    code, out, _ = run(capsys, "calibrate", folder)
    assert code == 0 and f"{folder}: EER on dev" in out
    again, wanted = Detector.open(folder).config, trained.config
    assert again.calibration.scale == pytest.approx(wanted.calibration.scale, rel=1e-3)
    assert again.calibration.offset == pytest.approx(wanted.calibration.offset, abs=1e-3)
    assert again.eer("dev") == wanted.eer("dev") and again.pooling == wanted.pooling
    assert (folder / "card.md").read_text() == text


def test_evaluating_under_conditions_prints_each_of_them(place, capsys):
    options = ["--split", "dev", "--models", "runs/small/detector", "--json", "conditions.json"]
    code, out, _ = run(capsys, "evaluate", "--conditions", *options)
    assert code == 0
    rows = json.loads((place / "conditions.json").read_text())["conditions"]
    rows = [row for row in rows if row["model"] == "runs/small/detector"]  # not a published one
    assert [row["condition"] for row in rows] == [*CONDITIONS]
    assert all(f"| {name} | " in out for name in CONDITIONS)
    assert all(0 <= row["value"] <= 1 and row["n"] == 12 for row in rows)
    code, _, said = run(capsys, "evaluate", "--conditions", *options, "--scores", "scores.csv")
    assert code == 2 and "leave one of them out" in said


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(place, capsys):
    weights = (place / "runs/small/checkpoint.pt").read_bytes()
    assert run(capsys, "train", "small.yaml")[0] == 0
    assert (place / "runs/small/checkpoint.pt").read_bytes() == weights
    (place / "other.yaml").write_text((place / "small.yaml").read_text() + "seed: 5\n")
    code, _, said = run(capsys, "train", "other.yaml", "--out", "runs/small")
    assert code == 2 and "another recipe" in said
    assert (place / "runs/small/checkpoint.pt").read_bytes() == weights


@pytest.mark.parametrize("other", ["fold", "corpus"])
def test_a_finished_run_on_other_data_is_not_taken_for_this_one(place, capsys, other):
    manifest = place / "corpus/manifest.csv"
    text = manifest.read_text()
    swapped = text.replace(",train,", ",#,").replace(",dev,", ",train,").replace(",#,", ",dev,")
    try:
        if other == "corpus":
            manifest.write_text(swapped)
        fold = ["--fold", "0/2"] if other == "fold" else []
        code, _, said = run(capsys, "train", "small.yaml", "--out", "runs/small", *fold)
    finally:
        manifest.write_text(text)
    assert code == 2 and "another recipe, fold or corpus" in said


def test_a_run_that_could_not_begin_leaves_no_folder(place, capsys):
    manifest = place / "corpus/broken.csv"
    (place / "corpus/broken.flac").write_bytes(b"no sound")
    text = (place / "corpus/manifest.csv").read_text()
    manifest.write_text(text.replace("dev0-bonafide.flac", "broken.flac"))
    (place / "plain.yaml").write_text(RECIPE.replace("griffin-lim", ""))
    plain = ["plain.yaml", "--manifest", manifest, "--out", "runs/plain"]
    code, _, said = run(capsys, "train", *plain)
    assert code == 2 and "broken.flac" in said
    (place / "empty.pt").write_bytes(b"")
    (place / "warm.yaml").write_text((place / "plain.yaml").read_text() + "init: empty.pt\n")
    code, _, said = run(capsys, "train", "warm.yaml", "--out", "runs/plain")
    assert code == 2 and "Training cannot start from empty.pt: the file is empty" in said
    assert not (place / "runs/plain").exists()


def test_a_fold_is_held_out_of_train(place, capsys):
    code, said, _ = run(capsys, "train", "small.yaml", "--fold", "1/3")
    assert code == 0 and "EER on fold" in said
    assert "fold" in Detector.open(place / "runs/small-fold1of3/detector").config.figures


def test_evaluation_prints_tables_writes_json_and_goes_into_the_card(place, capsys):
    folder = place / "runs/small/detector"
    manifest = place / "corpus/manifest.csv"
    code, said, _ = run(
        capsys, "evaluate", "--manifest", manifest, "--split", "test",
        "--models", folder, "--json", "test.json",
    )  # fmt: skip
    assert code == 0 and "| detector | EER [95 %]" in said and "shortcut alone" in said
    result = json.loads((place / "test.json").read_text())
    assert (result["split"], result["clips"]) == ("test", 12)
    assert set(result["shortcuts"]) >= {"duration", "level", "bandwidth"}
    model = result["models"][str(folder)]
    assert set(model) >= {
        "version", "pooled", "same_source", "at_dev_threshold", "cllr", "min_cllr", "min_dcf",
        "act_dcf", "by_family", "by_system",
    }  # fmt: skip
    assert set(model["at_dev_threshold"]) >= {
        "hter", "accuracy", "sensitivity", "specificity", "ppv", "npv", "confusion",
    }  # fmt: skip
    assert run(capsys, "card", folder, "--evaluation", "test.json", "--model", folder)[0] == 0
    detector = Detector.open(folder)
    assert detector.config.eer("test") == model["pooled"]["eer"]
    card = (folder / "card.md").read_text()
    assert "| test |" in card and "## Limits" in card and "## Recipe" in card


def test_evaluation_takes_the_bundled_ones_beside_the_baseline(place, capsys, monkeypatch):
    folder = str(place / "runs/small/detector")
    monkeypatch.setattr("evaluation.__main__.bundled", lambda: [folder])
    monkeypatch.setattr("evaluation.published.baseline", lambda: [("theirs", load(folder))])
    manifest = place / "corpus/manifest.csv"
    code, _, _ = run(
        capsys, "evaluate", "--manifest", manifest, "--split", "test", "--json", "both.json"
    )
    assert code == 0
    assert set(json.loads((place / "both.json").read_text())["models"]) == {folder, "theirs"}


@pytest.fixture
def evaluated(place, tmp_path):
    """A copy of the trained detector, and an evaluation of it as evaluate --json writes it."""
    copy = shutil.copytree(place / "runs/small/detector", tmp_path / "copy")
    row = {"eer": 0.25, "eer_ci": None, "auc": 0.75, "clips": 8, "spoof": 4, "bonafide": 4}
    figures = {
        "version": Detector.open(copy).digest[:12],
        "pooled": row,
        "same_source": {**row, "eer": None},
        "at_dev_threshold": {"hter": 0.2, "sensitivity": 0.7, "specificity": 0.9},
        **dict.fromkeys(("cllr", "min_cllr", "min_dcf", "act_dcf"), 0.5),
        "by_family": {"tts": {**row, "eer": 0.5}},
        "verdicts": {"spoof": {"fake": 3, "inconclusive": 1, "real": 0}},
    }
    return copy, tmp_path / "e.json", {"split": None, "models": {"a name": figures}}


def test_a_card_finds_the_figures_of_its_weights(evaluated, capsys):
    folder, path, evaluation = evaluated
    path.write_text(json.dumps(evaluation))
    for _ in range(2):  # the figures that are there do not make it another detector
        assert run(capsys, "card", folder, "--evaluation", path)[0] == 0
    assert "| all | 25.0 | - | 0.750 | 0.50 | 8 |" in (folder / "card.md").read_text()
    figures = Detector.open(folder).config.figures["all"]
    assert figures["eer"] == 0.25 and figures["by_family"] == {"tts": 0.5}


@pytest.mark.parametrize("model", [None, "a name"])
def test_figures_of_other_weights_do_not_go_into_a_card(evaluated, capsys, model):
    folder, path, evaluation = evaluated
    evaluation["models"]["a name"]["version"] = "0123456789ab"
    path.write_text(json.dumps(evaluation))
    before = (folder / "config.json").read_text()
    named = ["--model", model] if model else []
    code, _, said = run(capsys, "card", folder, "--evaluation", path, *named)
    assert code == 2 and f"Evaluate {folder} itself" in said
    assert (folder / "config.json").read_text() == before


def test_an_evaluation_without_a_rate_or_a_folder_without_a_card_is_refused(evaluated, capsys):
    folder, path, evaluation = evaluated
    path.write_text(json.dumps(evaluation))
    (folder / "card.md").unlink()
    code, _, said = run(capsys, "card", folder, "--evaluation", path)
    assert code == 2 and "has no card.md" in said
    evaluation["models"]["a name"]["pooled"]["eer"] = None
    path.write_text(json.dumps(evaluation))
    code, _, said = run(capsys, "card", folder, "--evaluation", path)
    assert code == 2 and "too few clips" in said


def test_how_far_harmless_changes_move_the_llr_stands_on_the_card(evaluated, capsys):
    folder, path, _ = evaluated
    version = Detector.open(folder).digest[:12]
    names = ("8 bits", "8 s of zeros after", "25 s of hiss before")
    rows = [
        {"perturbation": name, "model": "m", "version": version, "value": n / 10, "n": 40}
        | {"low": 0.0, "high": 0.4, "p90": 0.5}
        for n, name in enumerate(names)
    ]
    other = {**rows[0], "version": "0123456789ab", "value": 9.0}
    path.write_text(json.dumps({"split": "dev", "changes": [*rows, other]}))
    for _ in range(2):
        assert run(capsys, "card", folder, "--robustness", path)[0] == 0
    card = (folder / "card.md").read_text().partition("## Limits")[0]
    assert "| 8 bits | dev | 0.00 [0.00, 0.40] | 0.50 | 40 |" in card
    assert "| silence put in, at worst | dev | 0.20 [0.00, 0.40] | 0.50 | 40 |" in card
    assert "zeros" not in card and "| dev |" in card and card.count("harmless change") == 1
    figures = Detector.open(folder).config.figures["dev"]
    assert "eer" in figures and figures["robustness"]["8 bits"]["p90"] == 0.5

    path.write_text(json.dumps({"split": "dev", "changes": [other]}))
    code, _, said = run(capsys, "card", folder, "--robustness", path)
    assert code == 2 and "says nothing of the weights" in said
    path.write_text("{}")
    code, _, said = run(capsys, "card", folder, "--robustness", path)
    assert code == 2 and "not what robustness --json writes" in said


@pytest.mark.parametrize("content", ["[]", '{"models": []}', "{}", "no JSON", None])
def test_what_is_no_evaluation_is_a_sentence(evaluated, capsys, content):
    folder, path, _ = evaluated
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    code, _, said = run(capsys, "card", folder, "--evaluation", path)
    assert code == 2 and str(path) in said and len(said.strip().splitlines()) == 1


def test_a_seed_below_zero_is_refused_before_anything_is_scored(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--manifest", "nowhere.csv", "--seed", "-1"])
    assert stopped.value.code == 2
    assert "write a whole number from 0" in capsys.readouterr().err


def test_an_output_without_a_folder_is_refused_before_anything_is_scored(place, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--manifest", "nowhere.csv", "--json", "no/such/folder/out.json"])
    assert stopped.value.code == 2
    assert "there is no folder no/such/folder" in capsys.readouterr().err


def test_register_promote_and_list(place, capsys):
    assert run(capsys, "register", "runs/small", "--name", "small") == (0, "small version 1\n", "")
    assert run(capsys, "promote", "small", 1)[0] == 0
    assert load("models:/small@champion").config.name == "small"
    said = run(capsys, "list")[1]
    assert said.split()[:3] == ["small", "1", "champion"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere.yaml"], "There is no recipe"),
        (["evaluate", "--manifest", "nowhere.csv"], "nowhere.csv"),
        (["register", "nowhere", "--name", "x"], "nowhere"),
        (["promote", "ghost", "1"], "ghost"),
        (["card", "runs/small/detector", "--evaluation", "nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(place, capsys, arguments, said):
    code, _, error = run(capsys, *arguments)
    assert code == 2 and said in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("architecture: perceptron", "There is no architecture 'perceptron'"),
        ("options: {colour: red}", "does not take these options"),
        ("init: nowhere.pt", "There are no weights nowhere.pt"),
        ("interpolate: 0.5", "there are no first weights to keep"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused_before_anything_is_read(
    place, capsys, line, said
):
    lines = (place / "small.yaml").read_text().splitlines()
    kept = [old for old in lines if old.split(":")[0] != line.split(":")[0]]
    (place / "wrong.yaml").write_text("\n".join([*kept, line]))
    code, _, error = run(capsys, "train", "wrong.yaml", "--out", "runs/wrong")
    assert code == 2 and said in error and len(error.strip().splitlines()) == 1
    assert not (place / "runs/wrong").exists()


def test_a_manifest_whose_splits_share_a_speaker_is_refused(place, capsys):
    manifest = place / "corpus/manifest.csv"
    shared = manifest.with_name("shared.csv")
    shared.write_text(manifest.read_text().replace(",dev0,", ",train0,"))
    code, _, said = run(capsys, "train", "small.yaml", "--manifest", shared, "--out", "runs/bad")
    assert code == 2 and "train0" in said
    assert not (place / "runs/bad").exists()


def test_a_corpus_that_is_named_nowhere_is_asked_for(place, capsys, monkeypatch):
    monkeypatch.delenv("HEARSAY_MANIFEST")
    code, _, said = run(capsys, "train", "small.yaml", "--out", "runs/nowhere")
    assert code == 2 and "--manifest" in said and "HEARSAY_MANIFEST" in said
    assert not (place / "runs/nowhere").exists()


def test_the_card_says_what_is_known_of_the_corpus_and_the_weights(place, capsys):
    told = ["--data", "Calls of 2024.", "--licence", "CC0", "--out", "runs/told"]
    (place / "told.yaml").write_text(RECIPE.replace("epochs: 2", "epochs: 1"))
    assert run(capsys, "train", "told.yaml", *told)[0] == 0
    card = (place / "runs/told/detector/card.md").read_text()
    assert "Calls of 2024." in card and "Weights: CC0." in card
