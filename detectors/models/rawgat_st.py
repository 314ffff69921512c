"""RawGAT-ST (Tak et al. 2021, arXiv:2107.12710), AASIST's predecessor: two residual encoders of the
same sinc filters, a graph over the rows of one, a graph over the columns of the other, and a third
over their product.

Parameter names and quirks are those of the code in AASIST's repository, which it shares.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .aasist import (
    GraphAttention,
    GraphPool,
    band_edges,
    residual_encoder,
    row_edges,
    sinc_filters,
    sinc_map,
    sinc_stages,
)
from .network import Network, Stage, class_difference


class RawGATST(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof; n is 64,600 as published.

    Other lengths work from 50,429 samples (3.2 s) on, since the projections fix how many nodes of
    each graph are kept. `encode` and `head` are the two halves; `head` returns the class logits in
    the order spoof, bona fide.
    """

    windows_at_once = 1  # 0.7 GB a window
    whole_windows = True  # the projections fix the number of columns
    hz_edges = row_edges()

    def __init__(self, narrow: int = 32, wide: int = 64) -> None:
        super().__init__()
        self.sinc: Tensor
        self.register_buffer("sinc", sinc_filters(band_edges()), persistent=False)
        self.first_bn = nn.BatchNorm2d(1)
        self.selu = nn.SELU()
        self.encoder_T = residual_encoder(narrow, wide)
        self.encoder_S = residual_encoder(narrow, wide)
        self.both = nn.Identity()
        self.GAT_layer_T = GraphAttention(wide, 32, temperature=1.0)
        self.GAT_layer_S = GraphAttention(wide, 32, temperature=1.0)
        self.GAT_layer_ST = GraphAttention(32, 16, temperature=1.0)
        self.proj_T = nn.Linear(14, 12)
        self.proj_S = nn.Linear(23, 12)
        self.proj_ST = nn.Linear(16, 1)
        self.out_layer = nn.Linear(7, 2)
        # 0.64, 0.81 and 0.64 of the nodes at 64,600 samples; the projections fix these numbers
        self.pool_T = GraphPool(14, 32)
        self.pool_S = GraphPool(23, 32)
        self.pool_ST = GraphPool(7, 16)

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [self.both]  # the last maps of both encoders

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        pairs = [self.blocks(0, 2), self.blocks(2, 4), self.blocks(4, 6)]
        return sinc_stages(self.stem, pairs, self.encoder_T), self.decide

    def stem(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, 2, 23, (n - 128) // 3): the same map once for each encoder."""
        x = self.selu(self.first_bn(sinc_map(x, self.sinc)))
        return x.expand(-1, 2, -1, -1)

    def blocks(self, first: int, last: int) -> Callable[[Tensor], Tensor]:
        """Blocks `first` up to `last` of both encoders, whose channels lie one after the other."""

        def run(x: Tensor) -> Tensor:
            rows, columns = x.chunk(2, dim=1)
            maps = [self.encoder_T[first:last](rows), self.encoder_S[first:last](columns)]
            return torch.cat(maps, dim=1)

        return run

    def encode(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, 2 wide, 23, n // 2187 or so): rows are bands, columns are time."""
        return self.both(self.blocks(0, len(self.encoder_T))(self.stem(x)))

    def head(self, encoded: Tensor) -> Tensor:
        """Both maps -> class logits (b, 2), in the order spoof, bona fide."""
        rows, columns = encoded.abs().chunk(2, dim=1)
        rows = self.pool_T(self.GAT_layer_T(rows.amax(dim=3).transpose(1, 2)))
        columns = self.pool_S(self.GAT_layer_S(columns.amax(dim=2).transpose(1, 2)))
        product = self.proj_T(rows.transpose(1, 2)) * self.proj_S(columns.transpose(1, 2))
        joint = self.pool_ST(self.GAT_layer_ST(product.transpose(1, 2)))
        return self.out_layer(self.proj_ST(joint).flatten(1))

    def decide(self, encoded: Tensor) -> Tensor:
        """Both maps -> logit (b,)."""
        return class_difference(self.head(encoded))

    def forward(self, x: Tensor) -> Tensor:
        return self.decide(self.encode(x))
