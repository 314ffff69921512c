"""A small convolutional network on a time-frequency picture, with attentive pooling over time."""

import torch
from torch import Tensor, nn


class AttentivePool(nn.Module):
    """Attention-weighted mean and standard deviation over time: (b, c, t) -> (b, 2c).

    Okabe et al. 2018, "Attentive statistics pooling for deep speaker embedding", eq. 5-6. heard:
    (b, t) bool, at least one a row: the columns that are pooled, all by default.
    """

    def __init__(self, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, channels, 1)
        )

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        weight = self.attend(x)
        if heard is not None:
            weight = weight.masked_fill(~heard[:, None], -torch.inf)
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
    """The first convolution of a picture: (b, 1, h, w) -> (b, outputs, ...)."""
    convolution = nn.Conv2d(1, outputs, 5, stride=stride, padding=2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def fold(inputs: int, outputs: int) -> nn.Sequential:
    """Channels times rows to features of each column: (b, inputs, t) -> (b, outputs, t)."""
    convolution = nn.Conv1d(inputs, outputs, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.ReLU())


class CNN(nn.Module):
    """Four convolutional blocks, frequency folded into channels, attentive pooling, one logit.

    forward: (b, 1, bands, frames) -> (b,). `bands` must be the picture's height.
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
        self.fold = fold(channels[-1] * height, embedding)
        self.pool = AttentivePool(embedding)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * embedding, 1)

    @property
    def gradcam_layer(self) -> nn.Module:
        """The last map with rows for bands and columns for time."""
        return self.features[-1]

    def frames(self, picture: Tensor) -> Tensor:
        """What is pooled over time: (b, 1, bands, frames) -> (b, embedding, t)."""
        return self.fold(self.features(picture).flatten(1, 2))

    def verdict(self, frames: Tensor) -> Tensor:
        """What `frames` gave -> (b,)."""
        return self.out(self.drop(self.pool(frames))).squeeze(-1)

    def head(self, x: Tensor) -> Tensor:
        """Map of `features` (b, c, height, t) -> (b,)."""
        return self.verdict(self.fold(x.flatten(1, 2)))

    def forward(self, picture: Tensor) -> Tensor:
        return self.head(self.features(picture))
