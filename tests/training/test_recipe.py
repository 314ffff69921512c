"""Configs: those of the project are read, unknown keys and wrong values are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import backbones
import pytest

from detectors import bundled, bundled_config
from detectors.catalog import CATALOG
from detectors.errors import HearsayError
from training.check import check
from training.fuse import fusion_config, open_members
from training.initialise import detector_config
from training.recipe import FusionRecipe, read_recipe

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_pass_the_check(path, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "detectors.importers.huggingface.fetch", lambda _: backbones.backbone(tmp_path)
    )
    config = read_recipe(path)
    assert config.name == path.stem
    if not isinstance(config, FusionRecipe):  # the weights to start from are not shipped
        config = replace(config, init=None, interpolate=0.0)
    check(config)


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_detector_hears_as_its_recipe_says(name):
    config, shipped = read_recipe(CONFIGS[0].with_name(f"{name}.yaml")), bundled_config(name)
    if isinstance(config, FusionRecipe):
        made = fusion_config(config, open_members(config))
    else:
        made = detector_config(config)
    for key in ("architecture", "frontend", "frontend_options", "window", "hop_s"):
        assert getattr(made, key) == getattr(shipped, key), key
    options = dict(shipped.options)
    if getattr(config, "heads", 0):  # averaged into one, side by side
        assert options.pop("hidden") % config.heads == 0
    assert made.options == options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\narchitecture: cnn\nepoch: 3", "epoch"),
        ("name: a\narchitecture: cnn\naugment: {echo: 1}", "augment.echo"),
        ("name: a\narchitecture: cnn\nepochs: many", "epochs"),
        ("name: a", "architecture"),
        ("name: a\narchitecture: cnn\nmanifest: m", "named on the command line"),
        ("- 1\n- 2", "the file"),
        ("name: [", "not YAML"),
    ],
)
def test_a_wrong_config_is_refused_by_its_key(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(HearsayError, match=said):
        read_recipe(path)


@pytest.mark.parametrize("architecture", sorted(CATALOG.keys() - {"fusion"}))
def test_a_config_without_a_front_end_gets_the_catalogues(tmp_path, architecture):
    path = tmp_path / "c.yaml"
    path.write_text(f"name: a\narchitecture: {architecture}")
    config, entry = read_recipe(path), CATALOG[architecture]
    assert (config.frontend, config.frontend_options) == (entry.frontend, entry.frontend_options)
    path.write_text(path.read_text() + "\nfrontend: log-spec\nfrontend_options: {bins: 40}")
    assert read_recipe(path).frontend == "log-spec"
    assert read_recipe(path).frontend_options == {"bins": 40}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("pairs: 3\nbatch: 32", "3 pairs an epoch do not fill a batch of 32"),
        ("crop_s: [3, 2]", "crop_s is the shortest"),
        ("name: ''", "name"),
        *((f"{key}: {value}", key) for key, value in (
            ("epochs", 0), ("batch", 0), ("seed", -1), ("lr", -1), ("lr", ".nan"),
            ("interpolate", 3),
            ("ema_decay", 2), ("crop_s", [0, 0]), ("save_every", 0), ("patience", 0),
            ("splices", 1.1), ("label_smoothing", 1), ("cache_variants", -1),
            ("partial_spoof_weight", -0.1),
        )),
        ("augment: {noise: 7}", "augment.noise"),
        ("spec_augment: {bands: -1}", "spec_augment.bands"),
        ("spec_augment: {time_share: 2}", "spec_augment.time_share"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_its_key(tmp_path, line, key):
    path = tmp_path / "c.yaml"
    path.write_text(f"name: a\narchitecture: cnn\n{line}")
    with pytest.raises(HearsayError, match=key):
        read_recipe(path)


def test_a_config_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(HearsayError, match="There is no recipe"):
        read_recipe("nowhere.yaml")
    with pytest.raises(HearsayError, match="cannot be read"):
        read_recipe(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("credit: Kühn".encode("latin-1"))
    with pytest.raises(HearsayError, match=r"latin\.yaml cannot be read"):
        read_recipe(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("members: []", "the fusion 'f' needs members"),
        *((f"members: [m]\n{key}", "a fusion takes its members as they are") for key in (
            "copies: [world]", "splices: 0.5", "copy_pairs: 0.5", "init: w.pt",
        )),
        ("members: [m]\nvolume: 3", "volume"),
    ],
)  # fmt: skip
def test_a_fusion_is_not_trained(tmp_path, line, reason):
    path = tmp_path / "c.yaml"
    path.write_text(f"name: f\narchitecture: fusion\n{line}")
    with pytest.raises(HearsayError, match=reason):
        read_recipe(path)


def test_only_a_fusion_has_members(tmp_path):
    (tmp_path / "c.yaml").write_text("name: a\narchitecture: cnn\nmembers: [cnn]")
    with pytest.raises(HearsayError, match="members: only a fusion has members"):
        read_recipe(tmp_path / "c.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_no_shipped_recipe_names_a_place_outside_the_repository(path):
    text = path.read_text()
    assert "../" not in text and not any(f" {root}" in text for root in ("/", "~"))
