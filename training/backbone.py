"""Pretrained speech backbones: a recipe names one, a detector holds its config and weights."""

from __future__ import annotations

from typing import Any

from detectors.config import DetectorError
from detectors.errors import HearsayError
from detectors.importers.huggingface import backbone_options, load_backbone
from detectors.models.network import Network

from .recipe import TrainConfig


def resolved(config: TrainConfig) -> dict[str, Any]:
    """The recipe's options, with the name of a backbone replaced by its config and features.

    Only a recipe may name a folder or a hub model, since only training fetches anything. Raises
    HearsayError when it cannot be fetched or read.
    """
    name = _name(config)
    if name is None:
        return config.options
    try:
        return {**config.options, **backbone_options(name, config.window)}
    except DetectorError as error:
        raise HearsayError(f"options.backbone: {error}") from error


def start_from_backbone(net: Network, config: TrainConfig) -> None:
    """Give a fresh network the pretrained weights that its recipe names, if it names any."""
    name = _name(config)
    if name is None:
        return
    try:
        load_backbone(net, name)
    except DetectorError as error:
        raise HearsayError(f"options.backbone: {error}") from error


def _name(config: TrainConfig) -> str | None:
    name = config.options.get("backbone")
    return name if config.architecture == "ssl" and isinstance(name, str) else None
