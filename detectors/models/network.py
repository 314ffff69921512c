"""What a network tells the rest of the program about itself: one class, a default for every fact.

A network file declares what its own network can do, and nobody asks which class it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from ..frontends.frontend import Layer

LOCAL = (nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.MaxPool2d)


@dataclass(frozen=True, eq=False)
class Stage:
    """A local step of a network: a column of its output reads only a few of its input's.

    Args:
        run: Maps (b, ..., columns) to (b, ..., fewer columns).
        layers: What a column reads; None where each reads all of them.
        batch: Rows at once; one is best where a map overflows the cache by itself.
    """

    run: Callable[[Tensor], Tensor]
    layers: tuple[Layer, ...] | None
    batch: int = 4


class FeatureGroups(Protocol):
    """A network that embeds feature groups each by itself and pools their moments over time."""

    mean: Tensor  # (channels,), of the features over the training set

    def maps(self, features: Tensor) -> list[Tensor]:
        """(b, channels, frames) -> for each group (b, width, t), of its own t."""

    def columns(self, frames: Tensor, x: Tensor) -> Tensor:
        """What is said of frames (b, frames), of the columns of a group's map x: (b, t)."""

    def pool(self, maps: Sequence[Tensor], present: Sequence[Tensor] | None = None) -> Tensor:
        """Maps -> (b, groups, embedding), of the columns that are present (b, t), or of all."""

    def embed(self, features: Tensor) -> Tensor:
        """(b, channels, frames) -> (b, groups, embedding)."""

    def head(self, embeddings: Tensor) -> Tensor:
        """(b, groups, embedding) -> (b,)."""


class Network(nn.Module):
    """Features in, one logit a row out, positive = spoof: (b, ...) -> (b,).

    What a network declares beside its `forward` is optional:

    - windows_at_once: as many are scored in one batch; fewer where maps are large.
    - whole_windows: whether it reads nothing shorter than the detector's window.
    - differentiable: whether a gradient passes through what it reads by itself.
    - hz_edges: the frequencies in Hz where the rows of its maps meet, where it reads waveforms.
    - frame_channels: channels of what `frames` returns, 0 where it has no `frames` and `verdict`.
    - judges_frames: whether it has `frame_logits`.
    - embeds: whether it has `embed`, `new_head` and `take_heads`: training may fit heads alone.
    - standardises: whether training begins with `standardise_on`.
    - imagenet: torchvision's name of the weights that `load_imagenet` loads, "" of none.
    """

    windows_at_once = 8
    whole_windows = False
    differentiable: bool = True
    hz_edges: list[float] | None = None
    frame_channels = 0
    judges_frames = False
    embeds = False
    standardises = False
    imagenet = ""

    def gradcam_layers(self) -> Sequence[nn.Module]:
        """Layers whose maps have rows for bands and columns for time, in their order.

        Grad-CAM looks at the last one.
        """
        return ()

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        """The local stages that the network begins with, and the rest: their map -> (b,)."""
        return [], self

    @property
    def feature_groups(self) -> FeatureGroups | None:
        """The network itself, where it embeds feature groups each by itself."""
        return None

    def member_weights(self) -> list[float]:
        """Weights of the logits that a fusion reads; none of a network that reads sound."""
        return []

    def frames(self, features: Tensor) -> Tensor:
        """The first half: features -> (b, frame_channels, t)."""
        raise self._lacks("frames")

    def verdict(self, frames: Tensor) -> Tensor:
        """The second half: what `frames` returned -> (b,)."""
        raise self._lacks("verdict")

    def frame_logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of each frame by itself (b, t), and of the whole (b,)."""
        raise self._lacks("frame_logits")

    def embed(self, features: Tensor) -> Tensor:
        """What the network's head reads: features -> (b, embedding)."""
        raise self._lacks("embed")

    def new_head(self) -> nn.Module:
        """A fresh head, to be trained by itself: (b, embedding) -> (b,)."""
        raise self._lacks("new_head")

    def take_heads(self, heads: Sequence[nn.Module], mean: Tensor, std: Tensor) -> dict[str, Any]:
        """Put the mean of heads in the place of the network's own; the options that this changes.

        mean, std: (embedding,), by which the embeddings that they learned from were standardised.
        """
        raise self._lacks("take_heads")

    def tune(self) -> None:
        """Give gradients to what training may change."""
        self.requires_grad_(True)

    def merge(self) -> None:
        """Put what training added into the weights."""

    def standardise_on(self, features: Iterable[np.ndarray]) -> None:
        """Take means and deviations from the training set's features, (channels, frames) each."""
        raise self._lacks("standardise_on")

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Start from weights as they were published: a state dict, under its authors' names."""
        self.load_state_dict(weights)

    def load_imagenet(self) -> None:
        """Start from the weights that `imagenet` names; OSError when they cannot be had."""
        raise self._lacks("load_imagenet")

    def _lacks(self, method: str) -> TypeError:
        """For callers that did not ask first what the network declares."""
        return TypeError(f"A {type(self).__name__} has no {method}.")


def class_difference(classes: Tensor) -> Tensor:
    """Class logits (b, 2), in the order spoof and bona fide, as published -> logit (b,)."""
    spoof, bonafide = classes.unbind(dim=1)
    return spoof - bonafide


def layers_of(chain: nn.Module) -> tuple[Layer, ...]:
    """What a column of a chain's output reads: its convolutions and poolings, as registered.

    Shortcuts ("downsample") run beside the chain and read no further than it does; convolutions
    side by side are taken for a chain, which reads further than they do.
    """
    return tuple(
        ((_last(m.kernel_size) - 1) * _last(m.dilation) + 1, _last(m.stride), _last(m.padding))
        for name, m in chain.named_modules()
        if isinstance(m, LOCAL) and "downsample" not in name
    )


def _last(size: int | tuple[int, ...] | str) -> int:
    if isinstance(size, str):
        raise ValueError(f"A padding of '{size}' has no fixed width.")
    return size if isinstance(size, int) else size[-1]
