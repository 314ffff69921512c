"""All coalitions of a window game from a few encoder passes: exact, since an encoder is local.

A column of a convolutional map reads only the samples of its receptive field, hence only a few
neighbouring windows. Say no column touches more than p of them. Let pass m, of 2^p passes, switch
window j by bit (j mod p) of m: any p neighbours then meet in every combination somewhere among
the passes. The map of an arbitrary coalition is put together column by column, each taken from
the pass that has the column's own windows as the coalition wants them. An encoder is split into
stages, because early columns see less and need fewer passes than late ones; the cheap head runs
once for each coalition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from detectors.detector import Detector
from detectors.frontends.spectrograms import LogMel, LogSpec
from detectors.models.aasist import AASIST, SINC_TAPS
from detectors.models.cnn import CNN
from detectors.models.fusion import Fusion
from detectors.models.rawgat_st import RawGATST
from detectors.models.rawnet2 import RawNet2
from detectors.models.resnet import ResNet18
from detectors.models.transformer import HOP, N_FFT, ConvTransformer
from detectors.models.tssdnet import IncTSSDNet, ResTSSDNet
from detectors.scoring import members

from .masking import Windows
from .pooling import Pooled, passes_over
from .segment import Segment

BATCH = 4  # passes at once
HEAD_BATCH = 32
LOCAL = (nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.MaxPool2d)
Layer = tuple[int, int, int]  # kernel, stride and padding along time


@dataclass(frozen=True, eq=False)
class Stage:
    """A local piece of a network: `run` maps (b, ..., columns), `layers` say what a column reads.

    batch: rows at once; one is fastest and smallest where a map overflows the cache by itself.
    """

    run: Callable[[Tensor], Tensor]
    layers: tuple[Layer, ...]
    batch: int = BATCH


class Splicer:
    """Logits of coalitions of windows, equal to masking the clip and running the detector.

    Callable as a game: (k, players) bool -> (k,), best played `batch` coalitions at a time.
    `passes` is the number of passes that the widest stage took beforehand, `each` is one where
    every coalition needs a pass of its own, since not all of the encoder can be spliced, else zero.
    """

    def __init__(
        self,
        detector: Detector,
        segment: Segment,
        players: Windows,
        behind: Tensor,
        plays: int | None = None,
    ) -> None:
        """Run the stages' passes. behind: the baseline (n,) of `segment.samples`.

        plays: how many coalitions are going to be asked for (2^players if None); a stage that
        would take more passes than that is not spliced.
        """
        plays = 2**players.count if plays is None else plays
        stages, head = split(detector)
        n, window = len(segment.samples), segment.window
        repeat = np.arange(window) // n * players.count  # a repeated clip: windows go on counting
        left = np.resize(players.left.numpy(), window) + repeat
        right = np.resize(players.right.numpy(), window) + repeat
        fade = torch.from_numpy(np.resize(players.fade.numpy(), window))
        unrolled = Windows(players.edges, torch.from_numpy(left), torch.from_numpy(right), fade)
        x, behind = segment.fill(segment.samples[None])[0], segment.fill(behind[None])[0]

        self.players, self.unrolled = players.count, int(right.max()) + 1
        self.passes, self.each, self.batch = 0, 1, stages[0].batch if stages else BATCH
        self._input: Callable[[Tensor], Tensor] = lambda on: unrolled.mask(x, behind, on)
        reach: tuple[Layer, ...] = ()
        with torch.inference_mode():
            while stages:
                reach += stages[0].layers
                first, period = _neighbours(left, right, _columns(window, reach), reach)
                if 2**period >= plays:
                    break
                patterns = _patterns(period, self.unrolled)
                parts = patterns.split(stages[0].batch)
                maps = torch.cat([stages[0].run(self._input(part)) for part in parts])
                self._input = _Assembly(maps.movedim(-1, 0).contiguous(), first, period)
                stages = stages[1:]
                self.batch = stages[0].batch if stages else HEAD_BATCH
                if not stages:
                    self.passes, self.each = len(patterns), 0
        self._rest = [stage.run for stage in stages] + [head]

    def __call__(self, coalitions: Tensor) -> Tensor:
        on = coalitions[:, torch.arange(self.unrolled) % self.players]
        x = self._input(on)
        for run in self._rest:
            x = run(x)
        return x


class SplicedSum:
    """The members of a fusion, each spliced by itself; a game as `Splicer` is one."""

    def __init__(self, fusion: Fusion, members: Sequence[Splicer | Pooled]) -> None:
        self.fusion, self.members = fusion, members
        self.passes, self.each = sum(m.passes for m in members), sum(m.each for m in members)
        self.batch = min(member.batch for member in members)

    def __call__(self, coalitions: Tensor) -> Tensor:
        logits = torch.stack([member(coalitions) for member in self.members], dim=1)
        return logits @ self.fusion.weight + self.fusion.bias


def splice(
    detector: Detector,
    segment: Segment,
    players: Windows,
    behind: Tensor,
    plays: int | None = None,
) -> Splicer | Pooled | SplicedSum:
    """The game of a detector's windows, prepared; see `Splicer` for the arguments."""
    pinned = segment.pin(detector)
    if isinstance(pinned.net, Fusion):
        return SplicedSum(
            pinned.net,
            [_splice(member, segment, players, behind, plays) for member in members(pinned)],
        )
    return _splice(pinned, segment, players, behind, plays)


def _splice(
    detector: Detector, segment: Segment, players: Windows, behind: Tensor, plays: int | None
) -> Splicer | Pooled:
    if passes_over(detector):
        return Pooled(detector, segment, players)
    return Splicer(detector, segment, players, behind, plays)


class _Assembly:
    """Maps of arbitrary coalitions out of the passes' columns."""

    def __init__(self, maps: Tensor, first: np.ndarray, period: int) -> None:
        """maps: (columns, 2^period, ...). first: each column's first window."""
        self.maps, self.period = maps, period
        self.windows = torch.from_numpy(first)[:, None] + torch.arange(period)  # (columns, period)

    def __call__(self, on: Tensor) -> Tensor:
        """(k, unrolled windows) bool -> (k, ..., columns)."""
        present = self.windows.clamp(max=on.shape[1] - 1)  # beyond the end: any pass will do
        bits = on[:, present].long() << (self.windows % self.period)
        columns = torch.arange(len(self.maps))
        return self.maps[columns, bits.sum(dim=-1)].movedim(1, -1)


def split(detector: Detector) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
    """Local stages of a detector in their order, and the head that reads the last one's map.

    A network that is not known here, or a front-end that looks at the whole clip, is all head.
    """
    net, frontend = detector.net, detector.frontend
    if isinstance(net, AASIST):
        pieces = [net.encoder[0:2], net.encoder[2:4], net.encoder[4:6]]
        return _sinc_stages(net.stem, pieces, net.encoder), _difference(net.head)
    if isinstance(net, RawGATST):
        both = [net.blocks(0, 2), net.blocks(2, 4), net.blocks(4, 6)]
        return _sinc_stages(net.stem, both, net.encoder_T), _difference(net.head)
    if isinstance(net, RawNet2):
        reach = (
            (net.sinc.shape[-1], 1, 0),
            (3, 3, 0),
            *_layers(net.get_submodule("block0")),
            (3, 3, 0),
        )
        everything = (_columns(detector.config.window, reach), 1, 0)
        rest = Stage(net.gated, (everything,))  # its gates hear the whole window
        return [Stage(net.stem, reach, batch=1), rest], _difference(net.head)
    if isinstance(net, ResTSSDNet | IncTSSDNet):
        return [Stage(net.encoder, _layers(net.encoder))], _difference(net.head)
    if isinstance(net, ConvTransformer):
        spectrum = (N_FFT, HOP, (N_FFT - HOP) // 2)  # mirrored at the ends: nothing new is read
        return [Stage(net.encode, (spectrum, *_layers(net.encoder)))], net.head
    picture = _picture(frontend)
    if picture is None or not isinstance(net, CNN | ResNet18):
        return [], lambda x: detector.logits(x, levelled=True)
    parts = [*net.features] if isinstance(net, CNN) else [net.stem, *net.features]
    return [picture, *(Stage(part, _layers(part)) for part in parts)], net.head


def _sinc_stages(
    stem: Callable[[Tensor], Tensor],
    pieces: Sequence[Callable[[Tensor], Tensor]],
    chain: nn.Sequential,
) -> list[Stage]:
    """Stages of a sinc network: its stem, and pieces of two residual blocks each of `chain`."""
    layers = [_layers(chain[n : n + 2]) for n in range(0, len(chain), 2)]
    picture = ((SINC_TAPS, 1, 0), (3, 3, 0))
    first = Stage(lambda x: pieces[0](stem(x)), picture + layers[0], batch=1)
    return [first, *map(Stage, pieces[1:], layers[1:])]


def _difference(head: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The logit of a head that makes two class logits, spoof and bona fide."""
    return lambda x: torch.sub(*head(x).unbind(dim=1))


def _picture(frontend: nn.Module) -> Stage | None:
    """The front-end as a stage, if it is a picture of ours whose band means are held, or none."""
    if not isinstance(frontend, LogMel | LogSpec) or frontend.centre is True:
        return None
    transform = frontend.mel.spectrogram if isinstance(frontend, LogMel) else frontend.spec
    n_fft = transform.n_fft
    return Stage(frontend, ((n_fft, frontend.hop, n_fft // 2),))


def _layers(module: nn.Module) -> tuple[Layer, ...]:
    """The convolutions and poolings of a chain, in the order of their registration.

    Shortcuts ("downsample") run beside the chain and read no further than it does; convolutions
    side by side are taken for a chain, which reads further than they do.
    """
    chain = [
        m for name, m in module.named_modules() if isinstance(m, LOCAL) and "downsample" not in name
    ]
    return tuple(
        ((_last(m.kernel_size) - 1) * _last(m.dilation) + 1, _last(m.stride), _last(m.padding))
        for m in chain
    )


def _last(size: int | tuple[int, ...] | str) -> int:
    if isinstance(size, str):
        raise ValueError(f"A padding of '{size}' has no fixed width.")
    return size if isinstance(size, int) else size[-1]


def _columns(n: int, layers: tuple[Layer, ...]) -> int:
    for kernel, stride, padding in layers:
        n = (n + 2 * padding - kernel) // stride + 1
    return n


def _neighbours(
    left: np.ndarray, right: np.ndarray, columns: int, layers: tuple[Layer, ...]
) -> tuple[np.ndarray, int]:
    """First window that each column reads, (columns,), and the most windows that one reads.

    Receptive-field arithmetic: column c reads samples from c * jump + start on, `width` of them.
    """
    width, jump, start = 1, 1, 0
    for kernel, stride, padding in layers:
        start -= padding * jump
        width += (kernel - 1) * jump
        jump *= stride
    begin = np.arange(columns) * jump + start
    first = left[begin.clip(0, len(left) - 1)]
    last = right[(begin + width - 1).clip(0, len(right) - 1)]
    return first, int((last - first).max()) + 1


def _patterns(period: int, count: int) -> Tensor:
    """The passes' windows, (2^period, count) bool: j is on in pass m as bit j mod period is."""
    return (torch.arange(2**period)[:, None] >> torch.arange(count) % period) % 2 == 1
