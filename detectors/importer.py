"""Published checkpoints -> detectors: read without running their code, every weight checked."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from .catalog import build
from .detector import Config, Detector, DetectorError, check_weights


def import_checkpoint(path: str | Path, architecture: str, name: str) -> Detector:
    """Detector with the weights of a published state dict, on raw levels as these were trained.

    Raises DetectorError for a file that is no plain state dict (one that holds code is refused
    unread) or that does not fit the architecture, naming the weights at fault.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DetectorError(f"There is no checkpoint {path}.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise DetectorError(
            f"{path} is no plain PyTorch state dict, so it was not read: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if not isinstance(weights, dict) or not all(torch.is_tensor(v) for v in weights.values()):
        raise DetectorError(f"{path} holds something else than a state dict of tensors.")
    net = build(architecture, {})
    try:
        check_weights(net, weights)
    except ValueError as error:
        raise DetectorError(f"{path} cannot be imported as {architecture}: {error}") from error
    net.load_state_dict(weights)
    config = Config(name, architecture, frontend="raw", level_normalise=False)
    return Detector(config, net)
