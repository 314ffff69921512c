"""AASIST (Jung et al. 2022, arXiv:2110.01200): sinc filters, a residual encoder, two attentive
graphs over its rows and columns, and a heterogeneous graph that joins them.

Parameter names are those of the published checkpoints, and so are their quirks: a block's bn1 has
weights but no effect, since the original throws its output away, and the 70th sinc filter is
dropped by the pooling.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import Network, Stage, class_difference, layers_of

SINC_TAPS = 129
SINC_FILTERS = 70


def band_edges(count: int = SINC_FILTERS + 1, rate: int = 16_000) -> np.ndarray:
    """Mel-spaced frequencies in Hz between which the sinc filters lie, (count,)."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), count)
    return 700 * (10 ** (mel / 2595) - 1)


def sinc_filters(edges: np.ndarray, taps: int = SINC_TAPS, rate: int = 16_000) -> Tensor:
    """Hamming-windowed band-pass filters between neighbouring edges in Hz, (edges - 1, 1, taps).

    Rounded to single precision where the original is: published weights follow the last bit.
    """
    t = np.arange(taps, dtype=np.float32) - taps // 2
    low_pass = np.stack([2 * f / rate * np.sinc(np.float32(2 * f) * t / rate) for f in edges])
    band_pass = (low_pass[1:] - low_pass[:-1]).astype(np.float32)
    return torch.from_numpy(np.hamming(taps).astype(np.float32) * band_pass).unsqueeze(1)


def sinc_map(x: Tensor, sinc: Tensor) -> Tensor:
    """(b, n) -> (b, 1, 23, (n - 128) // 3): magnitudes behind the sinc filters, by threes."""
    x = F.conv1d(x.unsqueeze(1), sinc[: SINC_FILTERS - 1])  # the pool drops the 70th
    return F.max_pool2d(x.abs().unsqueeze(1), 3)


def row_edges() -> list[float]:
    """The 24 frequencies in Hz that bound the 23 rows of `sinc_map`, three filters each."""
    return [float(hz) for hz in band_edges()[:SINC_FILTERS:3]]


def sinc_stages(
    stem: Callable[[Tensor], Tensor],
    pairs: Sequence[Callable[[Tensor], Tensor]],
    encoder: nn.Sequential,
) -> list[Stage]:
    """Stages of a network on sinc filters: its stem, and pairs of residual blocks of `encoder`."""
    layers = [layers_of(encoder[n : n + 2]) for n in range(0, len(encoder), 2)]
    filters = ((SINC_TAPS, 1, 0), (3, 3, 0))
    first = Stage(lambda x: pairs[0](stem(x)), filters + layers[0], batch=1)
    return [first, *map(Stage, pairs[1:], layers[1:])]


class ResidualBlock(nn.Module):
    """(b, inputs, rows, columns) -> (b, outputs, rows, columns // 3)."""

    def __init__(self, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(inputs)  # loaded and saved, never used: see the module's text
        self.conv1 = nn.Conv2d(inputs, outputs, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(outputs)
        self.selu = nn.SELU()
        self.conv2 = nn.Conv2d(outputs, outputs, (2, 3), padding=(0, 1))
        if inputs != outputs:
            self.conv_downsample = nn.Conv2d(inputs, outputs, (1, 3), padding=(0, 1))
        self.widens = inputs != outputs
        self.mp = nn.MaxPool2d((1, 3))

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.selu(self.bn2(self.conv1(x))))
        return self.mp(out + (self.conv_downsample(x) if self.widens else x))


def residual_encoder(narrow: int, wide: int) -> nn.Sequential:
    """Six residual blocks: (b, 1, rows, columns) -> (b, wide, rows, columns // 729)."""
    widths = (1, narrow, narrow, wide, wide, wide, wide)
    pairs = enumerate(itertools.pairwise(widths))
    return nn.Sequential(*(nn.Sequential(ResidualBlock(i, o, first=n == 0)) for n, (i, o) in pairs))


class GraphAttention(nn.Module):
    """Attention over all pairs of nodes: (b, nodes, inputs) -> (b, nodes, outputs)."""

    def __init__(self, inputs: int, outputs: int, temperature: float) -> None:
        super().__init__()
        self.att_proj = nn.Linear(inputs, outputs)
        self.att_weight = _weight(outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.input_drop = nn.Dropout(0.2)
        self.act = nn.SELU()
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_drop(x)
        pairs = torch.tanh(self.att_proj(x.unsqueeze(2) * x.unsqueeze(1)))  # (b, n, n, outputs)
        attention = F.softmax(pairs @ self.att_weight / self.temperature, dim=-2).squeeze(-1)
        x = self.proj_with_att(attention @ x) + self.proj_without_att(x)
        return self.act(_node_norm(self.bn, x))


class HeterogeneousAttention(nn.Module):
    """Attention over the nodes of two graphs at once, with a master node that gathers both.

    temporal (b, t, inputs), spectral (b, s, inputs), master (b or 1, 1, inputs) ->
    the same three with `outputs` features.
    """

    def __init__(self, inputs: int, outputs: int, temperature: float) -> None:
        super().__init__()
        self.proj_type1 = nn.Linear(inputs, inputs)
        self.proj_type2 = nn.Linear(inputs, inputs)
        self.att_proj = nn.Linear(inputs, outputs)
        self.att_projM = nn.Linear(inputs, outputs)
        self.att_weight11 = _weight(outputs)
        self.att_weight22 = _weight(outputs)
        self.att_weight12 = _weight(outputs)
        self.att_weightM = _weight(outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.proj_with_attM = nn.Linear(inputs, outputs)
        self.proj_without_attM = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.input_drop = nn.Dropout(0.2)
        self.act = nn.SELU()
        self.temperature = temperature

    def forward(
        self, temporal: Tensor, spectral: Tensor, master: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        t = temporal.shape[1]
        x = torch.cat([self.proj_type1(temporal), self.proj_type2(spectral)], dim=1)
        x = self.input_drop(x)
        attention = self._attention(x, t)
        to_master = torch.tanh(self.att_projM(x * master)) @ self.att_weightM / self.temperature
        gathered = F.softmax(to_master, dim=-2).transpose(1, 2) @ x  # (b, 1, inputs)
        master = self.proj_with_attM(gathered) + self.proj_without_attM(master)
        x = self.proj_with_att(attention @ x) + self.proj_without_att(x)
        x = self.act(_node_norm(self.bn, x))
        return x[:, :t], x[:, t:], master

    def _attention(self, x: Tensor, t: int) -> Tensor:
        pairs = torch.tanh(self.att_proj(x.unsqueeze(2) * x.unsqueeze(1)))
        within_time = pairs[:, :t, :t] @ self.att_weight11
        across = pairs[:, :t, t:] @ self.att_weight12
        back = pairs[:, t:, :t] @ self.att_weight12
        within_spectrum = pairs[:, t:, t:] @ self.att_weight22
        top = torch.cat([within_time, across], dim=2)
        bottom = torch.cat([back, within_spectrum], dim=2)
        board = torch.cat([top, bottom], dim=1).squeeze(-1)
        return F.softmax(board / self.temperature, dim=-2)


class GraphPool(nn.Module):
    """Keep the best-scored nodes, scaled by their scores: (b, n, width) -> (b, kept, width).

    nodes: the share of them that is kept, or from 1 on how many.
    """

    def __init__(self, nodes: float, width: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.proj = nn.Linear(width, 1)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        score = torch.sigmoid(self.proj(self.drop(x)))
        kept = max(int(self.nodes if self.nodes >= 1 else x.shape[1] * self.nodes), 1)
        best = score.topk(kept, dim=1).indices.expand(-1, -1, x.shape[2])
        return (x * score).gather(1, best)


class AASIST(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof; n is 64,600 as published.

    Other lengths work, since only the 23 spectral rows have positions. `encode` and `head` are the
    two halves; `head` returns the two class logits in the published order (spoof, bona fide).
    """

    windows_at_once = 2  # 0.4 GB a window, and more at once is hardly faster
    hz_edges = row_edges()

    def __init__(
        self,
        channels: tuple[int, int] = (32, 64),
        graph: tuple[int, int] = (64, 32),
        pool_shares: tuple[float, float, float] = (0.5, 0.7, 0.5),
        temperatures: tuple[float, float, float] = (2.0, 2.0, 100.0),
    ) -> None:
        super().__init__()
        narrow, wide = channels
        self.sinc: Tensor
        self.register_buffer("sinc", sinc_filters(band_edges()), persistent=False)
        self.first_bn = nn.BatchNorm2d(1)
        self.selu = nn.SELU()
        self.encoder = residual_encoder(narrow, wide)
        self.pos_S = nn.Parameter(torch.randn(1, 23, wide))
        self.master1 = nn.Parameter(torch.randn(1, 1, graph[0]))
        self.master2 = nn.Parameter(torch.randn(1, 1, graph[0]))
        self.GAT_layer_S = GraphAttention(wide, graph[0], temperatures[0])
        self.GAT_layer_T = GraphAttention(wide, graph[0], temperatures[1])
        self.HtrgGAT_layer_ST11 = HeterogeneousAttention(*graph, temperatures[2])
        self.HtrgGAT_layer_ST12 = HeterogeneousAttention(graph[1], graph[1], temperatures[2])
        self.HtrgGAT_layer_ST21 = HeterogeneousAttention(*graph, temperatures[2])
        self.HtrgGAT_layer_ST22 = HeterogeneousAttention(graph[1], graph[1], temperatures[2])
        self.pool_S = GraphPool(pool_shares[0], graph[0])
        self.pool_T = GraphPool(pool_shares[1], graph[0])
        for name in ("pool_hS1", "pool_hT1", "pool_hS2", "pool_hT2"):
            self.add_module(name, GraphPool(pool_shares[2], graph[1]))
        self.drop = nn.Dropout(0.5)
        self.drop_way = nn.Dropout(0.2)
        self.out_layer = nn.Linear(5 * graph[1], 2)

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [self.encoder[-1]]

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        pairs = [self.encoder[0:2], self.encoder[2:4], self.encoder[4:6]]
        return sinc_stages(self.stem, pairs, self.encoder), self.decide

    def stem(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, 1, 23, (n - 128) // 3): the sinc filters' map, normalised."""
        return self.selu(self.first_bn(sinc_map(x, self.sinc)))

    def encode(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, wide, 23, n // 2187 or so): rows are bands, columns are time."""
        return self.encoder(self.stem(x))

    def head(self, encoded: Tensor) -> Tensor:
        """Encoder map -> class logits (b, 2), in the order spoof, bona fide."""
        spectral = encoded.abs().amax(dim=3).transpose(1, 2) + self.pos_S
        temporal = encoded.abs().amax(dim=2).transpose(1, 2)
        spectral = self.pool_S(self.GAT_layer_S(spectral))
        temporal = self.pool_T(self.GAT_layer_T(temporal))
        ways = [self._way(temporal, spectral, n) for n in (1, 2)]
        temporal, spectral, master = (torch.max(a, b) for a, b in zip(*ways, strict=True))
        readout = [
            temporal.abs().amax(dim=1),
            temporal.mean(dim=1),
            spectral.abs().amax(dim=1),
            spectral.mean(dim=1),
            master.squeeze(1),
        ]
        return self.out_layer(self.drop(torch.cat(readout, dim=1)))

    def _way(self, temporal: Tensor, spectral: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """One of the two parallel stacks of heterogeneous attention."""
        layer = self.get_submodule
        master = self.get_parameter(f"master{n}")
        t, s, master = layer(f"HtrgGAT_layer_ST{n}1")(temporal, spectral, master)
        s, t = layer(f"pool_hS{n}")(s), layer(f"pool_hT{n}")(t)
        t2, s2, master2 = layer(f"HtrgGAT_layer_ST{n}2")(t, s, master)
        return (self.drop_way(t + t2), self.drop_way(s + s2), self.drop_way(master + master2))

    def decide(self, encoded: Tensor) -> Tensor:
        """Encoder map -> logit (b,)."""
        return class_difference(self.head(encoded))

    def forward(self, x: Tensor) -> Tensor:
        return self.decide(self.encode(x))


def _weight(width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(width, 1)))


def _node_norm(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    return norm(x.flatten(0, 1)).view_as(x)
