"""Registry: what was registered is what is loaded, nothing in the store runs, users decide."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stores import free_port, make_detector, use_store
from voice import voice

from detectors import Config, Detector, load, registry
from detectors.errors import HearsayError
from detectors.files import sha256_of
from detectors.mlflow_store import readable_errors


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """Folder of a fresh store."""
    return use_store(tmp_path, monkeypatch).parent


def detector_folder(store: Path) -> Path:
    """The only version's detector folder in the artifact store."""
    (config,) = store.glob("artifacts/**/detector/config.json")
    return config.parent


def test_a_registered_detector_is_loaded_unchanged(store, tmp_path):
    detector = make_detector(tmp_path / "cnn", eer=0.2, low=0.15, high=0.25)
    assert registry.register(tmp_path / "cnn", "cnn") == 1
    registry.promote("cnn", 1)

    loaded = load("models:/cnn@champion")

    assert loaded.config == detector.config
    assert loaded.version == "1"
    x = torch.from_numpy(voice(2))[None]
    with torch.inference_mode():
        assert torch.equal(loaded.logits(x), detector.logits(x))


def test_a_version_says_what_it_is(store, tmp_path):
    make_detector(tmp_path / "cnn", eer=0.2, low=0.15, high=0.25)
    registry.register(tmp_path / "cnn", "cnn", tags={"corpus_hash": "abc"})

    (version,) = registry.versions()

    weights = (tmp_path / "cnn" / "weights.safetensors").read_bytes()
    assert version.tags["sha256.weights.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert version.tags["digest"] == load(tmp_path / "cnn").digest
    assert version.tags["dev.eer"] == "0.2000 [0.1500, 0.2500]"
    assert version.tags["corpus_hash"] == "abc"
    stored = registry.mlflow_client().get_model_version("cnn", "1")
    assert "An untrained detector" in stored.description


def test_a_version_is_the_detector_folder_and_holds_no_pickle(store, tmp_path):
    make_detector(tmp_path / "cnn")
    (tmp_path / "cnn" / "notes.txt").write_text("mine")
    registry.register(tmp_path / "cnn", "cnn")

    names = sorted(path.name for path in detector_folder(store).iterdir())
    assert names == ["card.md", "config.json", "weights.safetensors"]
    model = detector_folder(store).parents[1]
    kinds = {path.suffix for path in model.rglob("*") if path.is_file()}
    assert kinds <= {".py", ".json", ".md", ".txt", ".yaml", ".safetensors", ""}
    assert not list(model.rglob("bundled"))


def test_versions_are_found_by_number_and_by_alias(store, tmp_path):
    make_detector(tmp_path / "one", seed=1)
    make_detector(tmp_path / "two", seed=2)
    registry.register(tmp_path / "one", "cnn")
    registry.register(tmp_path / "two", "cnn")
    registry.promote("cnn", 2, "challenger")

    assert registry.resolve("models:/cnn/1").version == 1
    assert registry.resolve("models:/cnn@challenger").version == 2
    assert registry.resolve("models:/cnn/2").aliases == ("challenger",)
    with pytest.raises(HearsayError, match="it holds models:/cnn/1, models:/cnn/2"):
        registry.resolve("models:/cnn@champion")
    with pytest.raises(HearsayError, match="write models:/"):
        registry.resolve("models:/cnn")


def test_a_folder_that_does_not_open_is_not_registered(store, tmp_path):
    make_detector(tmp_path / "cnn")
    (tmp_path / "cnn" / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(HearsayError, match="no usable detector"):
        registry.register(tmp_path / "cnn", "cnn")
    assert registry.versions() == []


def test_another_kind_of_model_in_the_same_registry_is_left_alone(store, tmp_path):
    client = registry.mlflow_client()
    client.create_registered_model("forest")
    client.create_model_version("forest", str(tmp_path))
    client.set_registered_model_alias("forest", "champion", "1")
    assert registry.versions() == []


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_file_that_was_exchanged_is_refused(store, tmp_path, name):
    make_detector(tmp_path / "cnn", seed=1)
    make_detector(tmp_path / "other", seed=2, name="other")
    registry.register(tmp_path / "cnn", "cnn")
    (detector_folder(store) / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(HearsayError, match=f"{name} of models:/cnn/1 is not the file"):
        load("models:/cnn/1")


def test_a_file_that_is_gone_is_a_sentence(store, tmp_path):
    make_detector(tmp_path / "cnn")
    registry.register(tmp_path / "cnn", "cnn")
    (detector_folder(store) / "weights.safetensors").unlink()
    with pytest.raises(HearsayError, match="safetensors of models:/cnn/1 cannot be fetched"):
        load("models:/cnn/1")


class Bomb:
    """Unpickling one creates the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_the_store_is_executed(store, tmp_path):
    make_detector(tmp_path / "cnn")
    registry.register(tmp_path / "cnn", "cnn")
    sign = tmp_path / "executed"
    folder = detector_folder(store)
    bomb = pickle.dumps(Bomb(sign))
    for name in ("python_model.pkl", "weights.pkl", "weights.pt", "model.pth"):
        (folder / name).write_bytes(bomb)
        (folder.parents[1] / name).write_bytes(bomb)
    code = f"open({str(sign)!r}, 'w')\n"
    sources = list(folder.parents[1].rglob("*.py"))
    for path in [*sources, folder / "__init__.py", folder / "sitecustomize.py"]:
        path.write_text(code)

    load("models:/cnn/1")

    assert sources
    assert not sign.exists()
    pickle.loads(bomb)  # or else the bomb would prove nothing
    assert sign.exists()


def test_a_worse_version_does_not_become_champion(store, tmp_path):
    make_detector(tmp_path / "good", seed=1, eer=0.15, low=0.12, high=0.18)
    make_detector(tmp_path / "worse", seed=2, eer=0.19, low=0.15, high=0.23)
    make_detector(tmp_path / "similar", seed=3, eer=0.17, low=0.13, high=0.21)
    make_detector(tmp_path / "unmeasured", seed=4)
    for folder in ("good", "worse", "similar", "unmeasured"):
        registry.register(tmp_path / folder, "cnn")
    registry.promote("cnn", 1)

    with pytest.raises(HearsayError, match=r"version 2 has a dev EER of 19\.0%.*at most 18\.0%"):
        registry.promote("cnn", 2)
    with pytest.raises(HearsayError, match="version 4 states no dev EER"):
        registry.promote("cnn", 4)
    assert registry.resolve("models:/cnn@champion").version == 1

    registry.promote("cnn", 2, "challenger")  # on trial, so nothing is asked
    registry.promote("cnn", 3)
    assert registry.resolve("models:/cnn@champion").version == 3
    registry.promote("cnn", 2, force=True)
    assert registry.resolve("models:/cnn@champion").version == 2


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_version_whose_files_are_gone_is_not_promoted(store, tmp_path, name, alias):
    make_detector(tmp_path / "cnn")
    registry.register(tmp_path / "cnn", "cnn")
    (detector_folder(store) / name).unlink()
    with pytest.raises(HearsayError, match=f"{name} of models:/cnn/1 cannot be fetched"):
        registry.promote("cnn", 1, alias, force=True)
    assert registry.champions() == []


def test_a_version_that_does_not_open_is_not_promoted(store, tmp_path):
    make_detector(tmp_path / "cnn")
    registry.register(tmp_path / "cnn", "cnn")
    config = detector_folder(store) / "config.json"
    config.write_text(config.read_text().replace('"hop_s": 1.0', '"hop_s": 0.001'))
    client = registry.mlflow_client()
    client.set_model_version_tag("cnn", "1", "sha256.config.json", sha256_of(config))
    with pytest.raises(HearsayError, match=r"models:/cnn/1 cannot be opened: .*hop_s"):
        registry.promote("cnn", 1, force=True)
    assert registry.champions() == []


def test_whatever_works_replaces_a_broken_champion(store, tmp_path):
    for seed, name in enumerate(("one", "two")):
        make_detector(tmp_path / name, seed, eer=0.1 + seed / 10, low=0.05, high=0.15)
        registry.register(tmp_path / name, "cnn")
        if not seed:
            registry.promote("cnn", 1)
            shutil.rmtree(detector_folder(store))
    registry.promote("cnn", 2)
    assert [version.uri for version in registry.champions()] == ["models:/cnn/2"]


@pytest.mark.parametrize("uri", ["mlruns.db", "localhost:5000", "./mlruns", "/tmp/mlflow.db"])
def test_a_tracking_uri_without_a_scheme_is_a_sentence(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(HearsayError, match=f"is '{re.escape(uri)}', which begins with no scheme"):
        registry.versions()
    assert not [*tmp_path.iterdir()]


def test_seeding_twice_registers_once(store, tmp_path):
    folders = [tmp_path / "cnn", tmp_path / "resnet"]
    for seed, folder in enumerate(folders):
        make_detector(folder, seed, folder.name)
    registry.seed(folders)
    registry.seed(folders)

    assert [version.uri for version in registry.champions()] == [
        "models:/cnn/1",
        "models:/resnet/1",
    ]
    assert len(registry.versions()) == 2
    assert registry.versions()[0].tags["seeded_from"] == "bundled"


def test_a_new_bundle_becomes_champion(store, tmp_path):
    make_detector(tmp_path / "cnn", seed=1)
    registry.seed([tmp_path / "cnn"])
    make_detector(tmp_path / "cnn", seed=1, eer=0.2, low=0.1, high=0.3)  # the config alone changes
    registry.seed([tmp_path / "cnn"])
    assert [version.version for version in registry.champions()] == [2]


def test_a_choice_of_the_user_outlives_a_new_bundle(store, tmp_path):
    make_detector(tmp_path / "cnn", seed=1)
    registry.seed([tmp_path / "cnn"])
    make_detector(tmp_path / "cnn", seed=2)
    registry.seed([tmp_path / "cnn"])
    registry.promote("cnn", 1)  # back to the older bundle, by hand
    registry.seed([tmp_path / "cnn"])
    assert [version.version for version in registry.champions()] == [1]

    make_detector(tmp_path / "mine", seed=3)
    registry.register(tmp_path / "mine", "cnn")
    registry.promote("cnn", 3)
    make_detector(tmp_path / "cnn", seed=4)
    registry.seed([tmp_path / "cnn"])
    assert [version.version for version in registry.champions()] == [3]
    assert len(registry.versions()) == 4


def test_a_run_and_its_version_know_each_other(store, tmp_path):
    make_detector(tmp_path / "cnn")
    client = registry.mlflow_client()
    run = client.create_run(registry.experiment("training"))
    registry.register(tmp_path / "cnn", "cnn", run_id=run.info.run_id)

    assert client.get_model_version("cnn", "1").run_id == run.info.run_id
    (output,) = client.get_run(run.info.run_id).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "cnn", "version": 1}]


def test_a_server_out_of_reach_is_a_sentence_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port()}")
    with pytest.raises(HearsayError, match="does not answer") as error:
        load("models:/cnn@champion")
    assert "127.0.0.1" in str(error.value) and "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://me:secret@localhost/db?password=secret", "it needs the package psycopg"),
        ("nonsense://me:secret@there", "failed: "),
    ],
)
def test_a_store_that_cannot_be_spoken_to_is_a_sentence(monkeypatch, uri, said):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(HearsayError, match=said) as error:
        registry.versions()
    assert "secret" not in str(error.value)


def test_an_error_without_a_word_is_named(store):
    with pytest.raises(HearsayError, match="failed: TimeoutError"), readable_errors():
        raise TimeoutError


def test_figures_of_too_few_speakers_have_no_interval(store, tmp_path):
    figures = ({"eer": 0.2, "eer_ci": None}, {"eer": 0.3, "eer_ci": None}, {"eer": None})
    for n, dev in enumerate(figures):
        Detector(Config("cnn", "cnn", {"channels": (4, 4)}, figures={"dev": dev})).save(
            tmp_path / str(n)
        )
        registry.register(tmp_path / str(n), "cnn")
    assert [v.tags.get("dev.eer") for v in registry.versions()] == [
        "0.2000 [-]",
        "0.3000 [-]",
        None,
    ]
    registry.promote("cnn", 1)
    with pytest.raises(HearsayError, match=r"30.0%.*at most 20.0%"):
        registry.promote("cnn", 2)
    with pytest.raises(HearsayError, match="states no dev EER"):
        registry.promote("cnn", 3)


def test_a_front_end_that_does_not_fit_is_not_registered(store, tmp_path):
    options = {"channels": (4, 4), "bands": 40}
    Detector(Config("cnn", "cnn", options)).save(tmp_path / "cnn")
    with pytest.raises(HearsayError, match="does not fit its network"):
        registry.register(tmp_path / "cnn", "cnn")
    assert registry.versions() == []


def test_a_file_that_is_no_database_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_text("a shopping list, long enough to be read as a header" * 9)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(HearsayError, match="not a database"):
        registry.versions()


def test_mlflow_is_not_imported_before_it_is_needed():
    code = (
        "import sys, detectors, detectors.registry, detectors.pool; print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_processes_that_start_together_share_one_new_store(tmp_path):
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}",
    }
    code = "from detectors import registry; print(registry.versions())"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["[]", "[]"]
    header = (tmp_path / "new" / "mlflow.db").read_bytes()[:20]
    assert header[18:20] == b"\x02\x02"  # write-ahead log, https://sqlite.org/fileformat.html
