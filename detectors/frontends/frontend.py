"""What a front-end tells the rest of the program about itself."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..audio import RATE

Layer = tuple[int, int, int]  # kernel, stride and padding along time


def check_hop(hop: int) -> None:
    """ValueError for frames that follow each other by under a millisecond or over a second."""
    if not RATE // 1000 <= hop <= RATE:
        raise ValueError(f"hop is {RATE // 1000} to {RATE} samples, not {hop}.")


class Frontend(nn.Module):
    """Levelled waveforms in, what a network reads out: (b, n) -> (b, ...); no trained weights.

    hop: samples from one frame to the next; 1 where samples go out as they came in. hz_edges: the
    frequencies in Hz where its bands meet, (bands + 1,), lowest first. differentiable: whether a
    gradient passes. groups: feature groups by name, with their channels. version: of its
    definition; features that were cached by another are made again.
    """

    hop = 1
    hz_edges: list[float] | None = None
    differentiable = True
    groups: Mapping[str, slice] = {}
    version = 0

    def local_layers(self) -> tuple[Layer, ...] | None:
        """What a frame reads, layer by layer; () of a waveform, None if it may read all of it."""
        return None

    def held(self, x: Tensor) -> Frontend:
        """The front-end with what it measures over a whole sound taken from x (n,) for good.

        A part of x then looks as it does within x, whatever becomes of the rest.
        """
        return self
