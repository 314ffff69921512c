"""RawNet2 for anti-spoofing (Tak et al. 2021, arXiv:2011.01108): sinc filters, residual blocks that
rescale their channels, and a recurrent network over what remains of time.

Parameter names are those of the published checkpoints, and so are the quirks of the two editions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .aasist import band_edges, sinc_filters
from .network import Network, Stage, class_difference, layers_of

SLOPE = 0.3  # of the leaky rectifiers
HIDDEN = 1024


@dataclass(frozen=True)
class Edition:
    """filters, taps: the sinc layer's. spare: bands that its mel axis has above the last filter.

    first_norm: whether a block's bn1 has an effect; the 2021 code throws its output away.
    """

    filters: int
    taps: int
    spare: int
    wide: int
    first_norm: bool


EDITIONS = {
    2019: Edition(filters=128, taps=129, spare=2, wide=512, first_norm=True),
    2021: Edition(filters=20, taps=1025, spare=0, wide=128, first_norm=False),
}


class ResidualBlock(nn.Module):
    """(b, inputs, t) -> (b, outputs, t // 3). first: the first block has no bn1."""

    def __init__(self, inputs: int, outputs: int, first: bool, first_norm: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm1d(inputs)  # the 2021 edition loads and saves it, no more
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_downsample = nn.Conv1d(inputs, outputs, 1)
        self.normed, self.widens = first_norm and not first, inputs != outputs

    def forward(self, x: Tensor) -> Tensor:
        out = F.leaky_relu(self.bn1(x), SLOPE) if self.normed else x
        out = self.conv2(F.leaky_relu(self.bn2(self.conv1(out)), SLOPE))
        return F.max_pool1d(out + (self.conv_downsample(x) if self.widens else x), 3)


class RawNet2(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof; n is 64,600 as published.

    edition: 2021, the baseline of the ASVspoof 2021 challenge (17.6 M parameters), or 2019, the one
    of the paper (25.4 M). Any length from 3,300 samples on works. `encode` and `head` are the two
    halves; `head` returns the class logits in the order spoof, bona fide.
    """

    def __init__(self, edition: int = 2021) -> None:
        super().__init__()
        if edition not in EDITIONS:
            raise ValueError(f"RawNet2 has the editions {', '.join(map(str, EDITIONS))}.")
        size = EDITIONS[edition]
        self.windows_at_once = max(1, 140 // size.filters)  # 0.3 MB a filter and window, thrice
        edges = band_edges(size.filters + 1 + size.spare)[: size.filters + 1]
        self.sinc: Tensor
        self.register_buffer("sinc", sinc_filters(edges, size.taps), persistent=False)
        self.first_bn = nn.BatchNorm1d(size.filters)
        widths = (size.filters,) * 3 + (size.wide,) * 4
        for n in range(6):
            block = ResidualBlock(widths[n], widths[n + 1], n == 0, size.first_norm)
            self.add_module(f"block{n}", nn.Sequential(block))
            scale = nn.Linear(widths[n + 1], widths[n + 1])
            self.add_module(f"fc_attention{n}", nn.Sequential(scale))
        self.bn_before_gru = nn.BatchNorm1d(size.wide)
        self.gru = nn.GRU(size.wide, HIDDEN, num_layers=3, batch_first=True)
        self.fc1_gru = nn.Linear(HIDDEN, HIDDEN)
        self.fc2_gru = nn.Linear(HIDDEN, 2)

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        pool = (3, 3, 0)
        block = layers_of(self.get_submodule("block0"))
        layers = ((self.sinc.shape[-1], 1, 0), pool, *block, pool)
        gates_hear_all = Stage(self.gated, None)
        return [Stage(self.stem, layers, batch=1), gates_hear_all], self.decide

    def stem(self, x: Tensor) -> Tensor:
        """What is local, all up to the first gate: (b, n) -> (b, filters, n // 9 or so)."""
        x = F.max_pool1d(F.conv1d(x.unsqueeze(1), self.sinc).abs(), 3)
        return self.get_submodule("block0")(F.selu(self.first_bn(x)))

    def gated(self, x: Tensor) -> Tensor:
        """The stem's map -> (b, wide, n // 2187 or so); every gate hears the whole sound."""
        for n in range(6):
            x = self.get_submodule(f"block{n}")(x) if n else x
            gate = self.get_submodule(f"fc_attention{n}")(x.mean(dim=-1)).sigmoid().unsqueeze(-1)
            x = x * gate + gate
        return x

    def encode(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, wide, n // 2187 or so)."""
        return self.gated(self.stem(x))

    def head(self, encoded: Tensor) -> Tensor:
        """Encoder map -> class logits (b, 2), in the order spoof, bona fide."""
        x = F.selu(self.bn_before_gru(encoded))
        x, _ = self.gru(x.transpose(1, 2))
        return self.fc2_gru(self.fc1_gru(x[:, -1]))

    def decide(self, encoded: Tensor) -> Tensor:
        """Encoder map -> logit (b,)."""
        return class_difference(self.head(encoded))

    def forward(self, x: Tensor) -> Tensor:
        return self.decide(self.encode(x))
