"""Configs: those of the project are read, unknown keys and wrong values are refused."""

from __future__ import annotations

from pathlib import Path

import backbones
import pytest

from detectors.catalog import CATALOG, build, build_frontend
from training.backbone import resolved
from training.config import ConfigError, read_config
from training.fuse import with_members

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_build_their_detector(path, tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.hub.fetch", lambda _: backbones.backbone(tmp_path))
    config = read_config(path)
    assert config.name == path.stem
    if config.architecture == "fusion":
        config, _ = with_members(config)
    build(config.architecture, resolved(config))
    build_frontend(config.frontend, config.frontend_options)


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
    with pytest.raises(ConfigError, match=said):
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


def test_a_missing_config_is_said():
    with pytest.raises(ConfigError, match="There is no config"):
        read_config("nowhere.yaml")
