"""A small convolutional network on a spectrogram, with attentive pooling over time."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .network import Network, Stage, layers_of


class AttentivePool(nn.Module):
    """Attention-weighted mean and standard deviation over time: (b, c, t) -> (b, 2c).

    Okabe et al. 2018, "Attentive statistics pooling for deep speaker embedding", eq. 5-6. present:
    (b, t) bool, at least one a row: the columns that are pooled, all by default.
    """

    def __init__(self, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, channels, 1)
        )

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        weight = self.attend(x)
        if present is not None:
            weight = weight.masked_fill(~present[:, None], -torch.inf)
        weight = weight.softmax(dim=-1)
        mean = (weight * x).sum(dim=-1)
        variance = (weight * x.square()).sum(dim=-1) - mean.square()
        return torch.cat([mean, variance.clamp_min(1e-6).sqrt()], dim=1)

    @staticmethod
    def alone(x: Tensor) -> Tensor:
        """What the pool would give for each column by itself: (b, c, t) -> (b, t, 2c)."""
        return torch.cat([x, torch.full_like(x, 1e-3)], dim=1).transpose(1, 2)


def block(inputs: int, outputs: int, stride: tuple[int, int]) -> nn.Sequential:
    """Two 3x3 convolutions; the second one strides."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def stem(outputs: int, stride: int | tuple[int, int]) -> nn.Sequential:
    """The first convolution of a spectrogram: (b, 1, h, w) -> (b, outputs, ...)."""
    convolution = nn.Conv2d(1, outputs, 5, stride=stride, padding=2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def fold(inputs: int, outputs: int) -> nn.Sequential:
    """Channels times rows to features of each column: (b, inputs, t) -> (b, outputs, t)."""
    convolution = nn.Conv1d(inputs, outputs, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.ReLU())


class FrameNetwork(Network):
    """A network of convolutions (`features`) whose frames are pooled over time, then weighed.

    What CNN and ResNet-18 share; each says in `fold_rows` what becomes of the rows of its map.
    """

    judges_frames = True
    features: nn.Sequential
    pool: AttentivePool
    drop: nn.Dropout
    out: nn.Linear

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [*self.features]

    def encode(self, spectrogram: Tensor) -> Tensor:
        """(b, 1, bands, frames) -> (b, c, height, t)."""
        return self.features(spectrogram)

    def fold_rows(self, x: Tensor) -> Tensor:
        """What `encode` gave -> (b, frame_channels, t)."""
        raise self._lacks("fold_rows")

    def frames(self, features: Tensor) -> Tensor:
        return self.fold_rows(self.encode(features))

    def verdict(self, frames: Tensor) -> Tensor:
        return self.out(self.drop(self.pool(frames))).squeeze(-1)

    def frame_logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.frames(features)
        alone = self.out(self.drop(self.pool.alone(frames))).squeeze(-1)
        return alone, self.verdict(frames)

    def head(self, x: Tensor) -> Tensor:
        """What `encode` gave -> (b,)."""
        return self.verdict(self.fold_rows(x))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.verdict(self.frames(spectrogram))


class CNN(FrameNetwork):
    """Four convolutional blocks, frequency folded into channels, attentive pooling, one logit.

    forward: (b, 1, bands, frames) -> (b,). `bands` must be the spectrogram's height.
    """

    def __init__(
        self,
        bands: int = 80,
        channels: tuple[int, ...] = (24, 48, 72, 96),
        embedding: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        first = channels[0]
        pairs = zip((first, *channels[:-1]), channels, strict=True)
        blocks = [block(i, o, (2, 1 if n == 0 else 2)) for n, (i, o) in enumerate(pairs)]
        self.features = nn.Sequential(stem(first, 2), *blocks)
        height = bands
        for _ in range(len(channels) + 1):
            height = (height + 1) // 2
        self.frame_channels = embedding
        self.fold = fold(channels[-1] * height, embedding)
        self.pool = AttentivePool(embedding)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * embedding, 1)

    def fold_rows(self, x: Tensor) -> Tensor:
        return self.fold(x.flatten(1, 2))

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        return [Stage(part, layers_of(part)) for part in self.features], self.head
