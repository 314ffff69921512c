"""Published checkpoints -> detectors: read without running their code, every weight checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..catalog import build
from ..config import Config
from ..detector import Detector, check_weights
from ..errors import HearsayError, reason


@dataclass(frozen=True)
class Family:
    """What the published files of an architecture expect, and how their classes are ordered.

    classes: the layer that makes the two class logits. bonafide: which of them is the bona fide
    one; ours is always the second. window: samples that the published results read. sizes: options
    that the file itself decides, by the weight whose first axis says them.
    """

    architecture: str
    classes: str
    bonafide: int = 1
    window: int = 64_600
    options: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=dict)
    frontend: str = "raw"
    frontend_options: dict[str, Any] = field(default_factory=dict)


FAMILIES = {
    "aasist": Family("aasist", "out_layer"),
    "aasist-l": Family("aasist-l", "out_layer"),
    "rawgat-st": Family("rawgat-st", "out_layer"),
    "rawnet2": Family("rawnet2", "fc2_gru"),
    "rawnet2-2019": Family("rawnet2", "fc2_gru", window=64_000, options={"edition": 2019}),
    "res-tssdnet": Family("res-tssdnet", "out", bonafide=0, window=96_000),
    "inc-tssdnet": Family("inc-tssdnet", "out", bonafide=0, window=96_000),
    "res-tssdnet-2d": Family(
        "res-tssdnet-2d", "out", bonafide=0, window=102_144, frontend="log-cqt"
    ),
    "cnn-lite": Family(
        "cnn-lite",
        "layer2",
        window=63_800,  # four chunks
        options={"bands": 128},
        sizes={"channels": "layer1.0.weight"},
        frontend="mel",
        frontend_options={"mels": 128, "n_fft": 400, "hop": 200, "low_hz": 0, "high_hz": 8000},
    ),
}


def import_checkpoint(path: str | Path, architecture: str, name: str) -> Detector:
    """Detector with the weights of a published state dict, on raw levels as these were trained.

    architecture: a name in FAMILIES. Raises HearsayError for one that is not there, for a file
    that is no plain state dict (one that holds code is refused unread) and for one that does not
    fit the architecture, naming the weights at fault.
    """
    if architecture not in FAMILIES:
        raise HearsayError(
            f"Checkpoints of '{architecture}' are not known; there are {', '.join(FAMILIES)}."
        )
    family = FAMILIES[architecture]
    weights = _read(path)
    sizes = {
        option: weights[key].shape[0]
        for option, key in family.sizes.items()
        if key in weights and weights[key].dim()
    }
    options = {**family.options, **sizes}
    net = build(family.architecture, options)
    try:
        check_weights(net, weights)
    except ValueError as error:
        raise HearsayError(f"{path} cannot be imported as {architecture}: {error}") from error
    if family.bonafide == 0:
        for key in (f"{family.classes}.weight", f"{family.classes}.bias"):
            weights[key] = weights[key].flip(0)
    net.load_state_dict(weights)
    config = Config(
        name,
        family.architecture,
        options=options,
        frontend=family.frontend,
        frontend_options=family.frontend_options,
        window=family.window,
        level_normalise=False,
    )
    return Detector(config, net)


def _read(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file, taken out of the training state that some are wrapped in."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise HearsayError(f"There is no checkpoint {path}.") from None
    except Exception as error:  # what is no checkpoint fails anywhere in PyTorch's reader
        raise HearsayError(
            f"{path} is no plain PyTorch state dict, so it was not read: {reason(error)}."
        ) from error
    if isinstance(weights, dict):
        weights = weights.get("model_state_dict", weights)
    if not isinstance(weights, dict) or not all(
        isinstance(k, str) and torch.is_tensor(v) for k, v in weights.items()
    ):
        raise HearsayError(f"{path} holds something else than a state dict of tensors.")
    return dict(weights)
