"""TSSDNet (Hua et al. 2021, arXiv:2106.06341): end-to-end networks on the waveform, with residual
(Res-TSSDNet) or dilated (Inc-TSSDNet) modules between max-poolings.

Parameter names are those of the published checkpoints.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .network import Network, Stage, class_difference, layers_of

WIDTHS = (16, 32, 64, 128, 128)


class ResidualModule(nn.Module):
    """Three convolutions beside a pointwise one: (b, inputs, ...) -> (b, outputs, ...)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conv: type[nn.Conv1d | nn.Conv2d] = nn.Conv1d,
        norm: type[nn.BatchNorm1d | nn.BatchNorm2d] = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = conv(outputs, outputs, 3, padding=1, bias=False)
        self.conv3 = conv(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2, self.bn3 = norm(outputs), norm(outputs), norm(outputs)
        self.nin = conv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        return self.bn3(self.nin(x) + self.conv3(y)).relu_()


class DilatedModule(nn.Module):
    """Four dilations side by side: (b, inputs, t) -> (b, outputs, t), each a quarter of it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        for d in (1, 2, 4, 8):
            conv = nn.Conv1d(inputs, outputs // 4, 3, dilation=d, padding=d, bias=False)
            self.add_module(f"cv{d}", conv)
        for d in (1, 2, 4, 8):
            self.add_module(f"bn{d}", nn.BatchNorm1d(outputs // 4))

    def forward(self, x: Tensor) -> Tensor:
        layer = self.get_submodule
        return torch.cat([layer(f"bn{d}")(layer(f"cv{d}")(x)) for d in (1, 2, 4, 8)], 1).relu_()


class TSSDNet(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof; any n from 256 samples on.

    The original pools the last map over exactly 375 columns, which is all of it for its 96,000
    samples (6 s); here the whole map is pooled at any length. `encoder` and `head` are the two
    halves; `head` returns the class logits in the order spoof, bona fide.
    """

    frame_channels = WIDTHS[-1]

    def __init__(self, prefix: str, module: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Conv1d(1, WIDTHS[0], 7, padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm1d(WIDTHS[0])
        self.names = [f"{prefix}{n}" for n in range(1, len(WIDTHS))]
        for name, (inputs, outputs) in zip(self.names, itertools.pairwise(WIDTHS), strict=True):
            self.add_module(name, module(inputs, outputs))
        self.fc1 = nn.Linear(WIDTHS[-1], 64)
        self.fc2 = nn.Linear(64, 32)
        self.out = nn.Linear(32, 2)

    @property
    def encoder(self) -> nn.Sequential:
        """The local half: (b, n) -> (b, 128, n // 256)."""
        return nn.Sequential(nn.Unflatten(1, (1, -1)), *self.chain(nn.MaxPool1d, 4))

    def chain(self, pool: Callable[[int], nn.Module], size: int) -> list[nn.Module]:
        """Stem and modules in their order, with a pooling before each module."""
        layers = [self.conv1, self.bn1, nn.ReLU(inplace=True)]
        for name in self.names:
            layers += [pool(size), self.get_submodule(name)]
        return layers

    def head(self, encoded: Tensor) -> Tensor:
        """Encoder map -> class logits (b, 2), in the order spoof, bona fide."""
        return self.classify(encoded.amax(dim=-1))

    def classify(self, embedding: Tensor) -> Tensor:
        """(b, 128) -> (b, 2)."""
        return self.out(self.fc2(self.fc1(embedding).relu()).relu())

    def frames(self, features: Tensor) -> Tensor:
        return self.encoder(features)

    def verdict(self, frames: Tensor) -> Tensor:
        return class_difference(self.head(frames))

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        return [Stage(self.encoder, layers_of(self.encoder))], self.verdict

    def forward(self, x: Tensor) -> Tensor:
        return self.verdict(self.frames(x))


class ResTSSDNet(TSSDNet):
    """TSSDNet of residual modules: 0.35 M parameters."""

    def __init__(self) -> None:
        super().__init__("RSM", ResidualModule)


class IncTSSDNet(TSSDNet):
    """TSSDNet of dilated modules, after Inception: 0.09 M parameters."""

    def __init__(self) -> None:
        super().__init__("DCM", DilatedModule)
