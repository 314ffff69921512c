"""What a network starts from: a speech backbone, ImageNet's weights or a state dict, or nothing."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from http.client import HTTPException

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from detectors.errors import HearsayError
from detectors.models.network import Network

from .backbone import start_from_backbone
from .recipe import TrainConfig


def begin(net: Network, config: TrainConfig) -> None:
    """Give a fresh network the first weights that its recipe names; see the functions below."""
    start_from_backbone(net, config)
    if config.pretrained:
        start_from_imagenet(net)
    if config.init:
        start_from(net, config.init)


def start_from(net: Network, path: str) -> None:
    """Load a detector's weights.safetensors or a state dict (read without unpickling code).

    Raises HearsayError when the file is absent or does not fit.
    """
    try:
        if path.endswith(".safetensors"):
            net.load_state_dict(load_file(path))
            return
        weights = torch.load(path, weights_only=True, map_location="cpu")
        net.load_published(weights)
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        RuntimeError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        reason = str(error) or "the file is empty"
        raise HearsayError(f"Training cannot start from {path}: {reason}") from error


def keep(net: Network, first: Mapping[str, Tensor], share: float) -> None:
    """Move a trained network's weights back towards its first ones, by `share` of the way.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", eq. 1.
    """
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.lerp_(first[name], share)


def start_from_imagenet(net: Network) -> None:
    """Give an architecture for photographs its published weights, from torchvision's cache or site.

    Raises HearsayError when they cannot be had or do not fit, and for any other architecture.
    """
    if not net.imagenet:
        raise HearsayError("pretrained: only mobilenet, inception and vgg16 have ImageNet weights.")
    try:
        net.load_imagenet()
    except (OSError, HTTPException, RuntimeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(":. ")
        raise HearsayError(
            f"pretrained: {net.imagenet} of torchvision cannot be used: {reason}. Train without "
            f"them, or put the file into {torch.hub.get_dir()}/checkpoints."
        ) from error
