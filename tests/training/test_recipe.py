"""Configs: those of the project are read, unknown keys and wrong values are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import backbones
import pytest

from detectors import bundled, bundled_config
from detectors.catalog import CATALOG
from detectors.errors import HearsayError
from training.fuse import with_members
from training.loop import detector_config
from training.recipe import read_config
from training.run import check

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_pass_the_check(path, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "detectors.importers.huggingface.fetch", lambda _: backbones.backbone(tmp_path)
    )
    config = read_config(path)
    assert config.name == path.stem
    if config.architecture == "fusion":
        config, _ = with_members(config)
    check(replace(config, init=None, kept=0.0))  # the weights to start from are not shipped


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_detector_hears_as_its_recipe_says(name):
    config, shipped = read_config(CONFIGS[0].with_name(f"{name}.yaml")), bundled_config(name)
    if config.architecture == "fusion":
        config, _ = with_members(config)
    made = detector_config(config)
    for key in ("architecture", "options", "frontend", "frontend_options", "window", "hop_s"):
        assert getattr(made, key) == getattr(shipped, key), key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\narchitecture: cnn\nmanifest: m\nepoch: 3", "epoch"),
        ("name: a\narchitecture: cnn\nmanifest: m\naugment: {echo: 1}", "augment.echo"),
        ("name: a\narchitecture: cnn\nmanifest: m\nepochs: many", "epochs"),
        ("name: a\narchitecture: cnn", "manifest"),
        ("- 1\n- 2", "the file"),
        ("name: [", "not YAML"),
    ],
)
def test_a_wrong_config_is_refused_by_its_key(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(HearsayError, match=said):
        read_config(path)


@pytest.mark.parametrize("architecture", sorted(CATALOG))
def test_a_config_without_a_front_end_gets_the_catalogues(tmp_path, architecture):
    path = tmp_path / "c.yaml"
    path.write_text(f"name: a\narchitecture: {architecture}\nmanifest: m")
    config, entry = read_config(path), CATALOG[architecture]
    assert (config.frontend, config.frontend_options) == (entry.frontend, entry.frontend_options)
    path.write_text(path.read_text() + "\nfrontend: log-spec\nfrontend_options: {bins: 40}")
    assert read_config(path).frontend == "log-spec"
    assert read_config(path).frontend_options == {"bins": 40}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("pairs: 3\nbatch: 32", "3 pairs an epoch do not fill a batch of 32"),
        ("crop_s: [3, 2]", "crop_s is the shortest"),
        ("name: ''", "name"),
        *((f"{key}: {value}", key) for key, value in (
            ("epochs", 0), ("batch", 0), ("seed", -1), ("lr", -1), ("lr", ".nan"), ("kept", 3),
            ("ema", 2), ("crop_s", [0, 0]), ("save_every", 0), ("patience", 0), ("swaps", 1.1),
            ("smoothing", 1), ("cache_variants", -1), ("columns", -0.1),
        )),
        ("augment: {noise: 7}", "augment.noise"),
        ("spec_augment: {bands: -1}", "spec_augment.bands"),
        ("spec_augment: {time_share: 2}", "spec_augment.time_share"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_its_key(tmp_path, line, key):
    path = tmp_path / "c.yaml"
    path.write_text(f"name: a\narchitecture: cnn\nmanifest: m\n{line}")
    with pytest.raises(HearsayError, match=key):
        read_config(path)


def test_a_config_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(HearsayError, match="There is no config"):
        read_config("nowhere.yaml")
    with pytest.raises(HearsayError, match="cannot be read"):
        read_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("credit: Kühn".encode("latin-1"))
    with pytest.raises(HearsayError, match=r"latin\.yaml cannot be read"):
        read_config(tmp_path / "latin.yaml")
