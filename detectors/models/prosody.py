"""Prosodic features: a small convolutional network for each group, joined by a head.

It runs over time, and in the group that is a spectrogram over frequency as well.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..frontends.prosody import CHANNELS, GROUPS, MASKS
from .cnn import AttentivePool, block, fold, stem
from .network import FeatureGroups, Network

PICTURES = ("mel",)  # groups in which neighbouring channels are neighbouring frequencies
POOL = -3  # its place in the network of a group


class ProsodyNet(Network):
    """Standardise, embed each feature group by its own network, join the embeddings, one logit.

    forward: (b, channels, frames) of `detectors.prosody` -> (b,), any number of frames. A group
    whose channels stand at `mean` says nothing: that is how `drop_groups` trains the head to do
    without, and what an explanation puts in an absent group's place. `noise`: standard deviation
    of what training adds to the standardised features.
    """

    standardises = True
    mean: Tensor
    std: Tensor
    always: Tensor
    groups: Any  # nn.ModuleList of nn.Sequential

    def __init__(
        self,
        width: int = 24,
        embedding: int = 16,
        hidden: int = 64,
        dropout: float = 0.3,
        drop_groups: float = 0.15,
        noise: float = 0.1,
    ) -> None:
        super().__init__()
        self.drop_groups, self.noise = drop_groups, noise
        self.register_buffer("mean", torch.zeros(len(CHANNELS)))
        self.register_buffer("std", torch.ones(len(CHANNELS)))
        always = torch.tensor([mask == i for i, mask in enumerate(MASKS)])
        self.register_buffer("always", always[:, None], persistent=False)
        self.groups = nn.ModuleList(
            (_picture_embedder if name in PICTURES else _embedder)(
                at.stop - at.start, width, embedding, dropout
            )
            for name, at in GROUPS.items()
        )
        self.join = nn.Sequential(
            nn.Linear(len(GROUPS) * embedding, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    @property
    def feature_groups(self) -> FeatureGroups:
        return self

    def standardise_on(self, features: Iterable[np.ndarray]) -> None:
        """Take mean and standard deviation from features (channels, frames) where they are defined.

        Call it before training; they are saved with the weights.
        """
        count, total, square = (np.zeros(len(CHANNELS)) for _ in range(3))
        for one in features:
            x = one.astype(np.float64)
            known = np.where(self.always.numpy(), 1.0, x[MASKS])
            count += known.sum(axis=1)
            total += (known * x).sum(axis=1)
            square += (known * x**2).sum(axis=1)
        mean = total / np.maximum(count, 1)
        std = np.sqrt(np.maximum(square / np.maximum(count, 1) - mean**2, 0))
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(np.maximum(std, 1e-3)))

    def embed(self, features: Tensor) -> Tensor:
        """(b, channels, frames) -> (b, groups, embedding)."""
        return self.pool(self.maps(features))

    def maps(self, features: Tensor) -> list[Tensor]:
        """What each group's pool reads: (b, channels, frames) -> (b, width, t), of its own t."""
        x = self._standardise(features)
        return [net[:POOL](x[:, at]) for net, at in zip(self.groups, GROUPS.values(), strict=True)]

    def pool(self, maps: Sequence[Tensor], present: Sequence[Tensor] | None = None) -> Tensor:
        """`maps` -> (b, groups, embedding). present: (b, t) of each map, see `AttentivePool`."""
        chosen = [None] * len(maps) if present is None else present
        return torch.stack(
            [
                net[POOL + 1 :](net[POOL](x, columns))
                for net, x, columns in zip(self.groups, maps, chosen, strict=True)
            ],
            dim=1,
        )

    @staticmethod
    def columns(frames: Tensor, x: Tensor) -> Tensor:
        """What is said of frames (b, frames), of the columns of a map (b, width, t): (b, t)."""
        return frames[:, :: -(-frames.shape[1] // x.shape[-1])]

    def head(self, embeddings: Tensor) -> Tensor:
        """(b, groups, embedding) -> (b,)."""
        return self.join(embeddings.flatten(1)).squeeze(-1)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.embed(features))

    def _standardise(self, features: Tensor) -> Tensor:
        """Zero at the mean and where the mask says that there is no value."""
        known = torch.where(self.always, 1.0, features[:, MASKS])
        x = known * (features - self.mean[:, None]) / self.std[:, None]
        if self.training:
            x = x + self.noise * torch.randn_like(x)
            kept = torch.rand(len(x), len(GROUPS), device=x.device) >= self.drop_groups
            for i, at in enumerate(GROUPS.values()):
                x[:, at] *= kept[:, i, None, None]
        return x


def _embedder(channels: int, width: int, embedding: int, dropout: float) -> nn.Sequential:
    """(b, channels, frames) -> (b, embedding); a column of the last map sees 0.29 s of the clip."""
    layers: list[nn.Module] = []
    for inputs, kernel, stride in ((channels, 5, 2), (width, 5, 2), (width, 5, 1)):
        convolution = nn.Conv1d(inputs, width, kernel, stride, kernel // 2, bias=False)
        layers += [convolution, nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*layers, *_pool(width, 16, embedding, dropout))


def _picture_embedder(bands: int, width: int, embedding: int, dropout: float) -> nn.Sequential:
    """(b, bands, frames) -> (b, embedding), by convolutions over time and frequency."""
    rows = -(-bands // 8)  # each block halves them, rounding up
    return nn.Sequential(
        nn.Unflatten(1, (1, bands)),
        stem(width, (1, 2)),
        block(width, width, (2, 1)),
        block(width, 2 * width, (2, 2)),
        block(2 * width, 3 * width, (2, 2)),
        nn.Flatten(1, 2),
        fold(3 * width * rows, 64),
        *_pool(64, 32, embedding, dropout),
    )


def _pool(width: int, hidden: int, embedding: int, dropout: float) -> tuple[nn.Module, ...]:
    """(b, width, t) -> (b, embedding)."""
    return AttentivePool(width, hidden), nn.Dropout(dropout), nn.Linear(2 * width, embedding)
