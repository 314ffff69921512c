"""Detectors whose answer is known: what an explanation must find in them can be worked out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from detectors import Config, Detector, Facts, Waveform
from detectors.models.network import Network

RATE = 16_000
WINDOW = 16_000


class Linear(Network):
    """Logit = weight . x: additive over samples, so every attribution has a closed form."""

    whole_windows = True

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Both(Network):
    """Logit = product of two linear functions: evidence that only counts together."""

    whole_windows = True

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.first) * (x @ self.second)


class Tone(Network):
    """Logit = energy at one frequency: reacts to a tone, wherever it is."""

    def __init__(self, hz: float, taps: int = 400) -> None:
        super().__init__()
        t = torch.arange(taps) / RATE
        pair = torch.stack([torch.cos(2 * torch.pi * hz * t), torch.sin(2 * torch.pi * hz * t)])
        self.register_buffer("pair", pair[:, None] / taps)

    def forward(self, x: Tensor) -> Tensor:
        found = nn.functional.conv1d(x[:, None], self.pair, stride=100)
        return 1000 * found.square().sum(dim=(1, 2))


class Pooled(Network):
    """One convolution on the picture, averaged over the map: its Grad-CAM adds up to the logit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.weight = nn.Parameter(torch.tensor([1.0, -0.5, 0.25]))

    def gradcam_layers(self):
        return [self.relu]

    def forward(self, picture: Tensor) -> Tensor:
        return self.relu(self.conv(picture)).mean(dim=(2, 3)) @ self.weight


def toy(net: nn.Module, frontend: str = "raw", **changes) -> Detector:
    """A detector of `net` that reads one second at a time, on the clip's raw level."""
    settings = {"window": WINDOW, "hop_s": 0.5, "level_normalise": False, **changes}
    return Detector(Config("toy", "toy", frontend=frontend, **settings), net)


def fused(*members: Detector, weights: Sequence[float] = (), bias: float = 0.2) -> Detector:
    """A fusion of these members, at their window and level; weights 0.7, -0.4, ... by default."""
    config = Config(
        "both",
        "fusion",
        {"members": [{"name": m.config.name, "digest": m.digest} for m in members]},
        frontend="raw",
        window=members[0].config.window,
        level_normalise=members[0].config.level_normalise,
    )
    detector = Detector(config, members=members)
    detector.net.weight.copy_(torch.tensor((*weights, 0.7, -0.4, 0.3)[: len(members)]))
    detector.net.bias.fill_(bias)
    return detector


def waveform(samples: np.ndarray) -> Waveform:
    samples = np.asarray(samples, dtype=np.float32)
    n = len(samples) / RATE
    return Waveform(samples, Facts(n, RATE, 1, "wav", "pcm", 0.5, 0.0, 8000.0, n, ()))


def hiss(n: int = WINDOW, seed: int = 0, level: float = 0.05) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def with_tone(
    start_s: float, end_s: float, hz: float = 1000.0, n: int = WINDOW, seed: int = 0
) -> np.ndarray:
    """Hiss with a loud tone from start_s to end_s."""
    t = np.arange(n) / RATE
    here = (t >= start_s) & (t < end_s)
    return hiss(n, seed) + (0.3 * np.sin(2 * np.pi * hz * t) * here).astype(np.float32)


def centre_of_evidence(explanation) -> tuple[float, float]:
    """Second and frequency at the mean of the positive evidence."""
    weight = explanation.values.clip(min=0)
    seconds = (explanation.times[:-1] + explanation.times[1:]) / 2
    hz = (explanation.freqs[:-1] + explanation.freqs[1:]) / 2
    total = weight.sum()
    return float(weight.sum(0) @ seconds / total), float(weight.sum(1) @ hz / total)
