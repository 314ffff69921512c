"""Res-TSSDNet on a spectrogram (Hua et al. 2021, arXiv:2106.06341): the residual modules of the
one-dimensional network with two-dimensional layers, after a constant-Q transform."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from .network import Stage
from .tssdnet import WIDTHS, ResidualModule, TSSDNet


class ResTSSDNet2D(TSSDNet):
    """Picture to logit: (b, 1, bands, frames) -> (b,), positive = spoof.

    The original averages the last map over exactly 27 x 25 cells, which is all of it for its 432
    bands and 400 frames; here the whole map is averaged at any size from 16 x 16 on.
    """

    windows_at_once = 4  # 80 MB a window, and more at once is no faster
    frame_channels = 0  # its map has rows besides

    def __init__(self) -> None:
        super().__init__("RSM", partial(ResidualModule, conv=nn.Conv2d, norm=nn.BatchNorm2d))
        self.conv1 = nn.Conv2d(1, WIDTHS[0], 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [self.get_submodule(self.names[-1])]

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        return [], self

    @property
    def encoder(self) -> nn.Sequential:
        """(b, 1, bands, frames) -> (b, 128, bands // 16, frames // 16)."""
        return nn.Sequential(*self.chain(nn.MaxPool2d, 2))

    def head(self, encoded: Tensor) -> Tensor:
        return self.classify(encoded.mean(dim=(2, 3)))
