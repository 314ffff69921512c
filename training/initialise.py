"""From a recipe to a fresh detector, and to the weights that its network starts from."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from http.client import HTTPException

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from detectors.config import Config
from detectors.errors import HearsayError, invalid
from detectors.importers.huggingface import backbone_options, load_backbone
from detectors.models.network import Network

from .recipe import NetworkRecipe


def detector_config(recipe: NetworkRecipe) -> Config:
    """The detector that a recipe makes, before it is calibrated.

    The name of a speech backbone is replaced by its config and features: a detector needs the
    original no more.

    Raises:
        HearsayError: The backbone cannot be fetched or read, or no detector has such settings.
    """
    options, backbone = recipe.options, _backbone(recipe)
    if backbone:
        try:
            options = {**options, **backbone_options(backbone, recipe.window)}
        except HearsayError as error:
            raise HearsayError(f"options.backbone: {error}") from error
    try:
        return Config(
            name=recipe.name,
            architecture=recipe.architecture,
            options=options,
            frontend=recipe.frontend,
            frontend_options=recipe.frontend_options,
            window=recipe.window,
            hop_s=recipe.hop_s,
        )
    except ValidationError as error:
        raise HearsayError(f"{invalid(error)}.") from error


def initialise(net: Network, recipe: NetworkRecipe) -> None:
    """Give a fresh network the pretrained weights that its recipe names, if it names any."""
    backbone = _backbone(recipe)
    if backbone:
        load_backbone(net, backbone)
    if recipe.pretrained:
        load_imagenet(net)
    if recipe.init:
        load_weights(net, recipe.init)


def _backbone(recipe: NetworkRecipe) -> str | None:
    """The speech backbone that a recipe names; other architectures may call an option so, too."""
    name = recipe.options.get("backbone")
    return name if recipe.architecture == "ssl" and isinstance(name, str) else None


def load_weights(net: Network, path: str) -> None:
    """Load a detector's weights.safetensors or a state dict (read without unpickling code).

    Raises:
        HearsayError: The file is absent or does not fit.
    """
    try:
        if path.endswith(".safetensors"):
            weights = load_file(path)
        else:
            weights = torch.load(path, weights_only=True, map_location="cpu")
        own = _shapes(weights) == _shapes(net.state_dict())
        (net.load_state_dict if own else net.load_published)(weights)
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


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


def load_imagenet(net: Network) -> None:
    """Give a network for photographs its published weights, from torchvision's cache or site.

    Raises:
        HearsayError: They cannot be had or do not fit, or the network has none.
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


def interpolate(net: Network, first: Mapping[str, Tensor], share: float) -> None:
    """Move a trained network's weights back towards its first ones, by `share` of the way.

    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", eq. 1.
    """
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.lerp_(first[name], share)
