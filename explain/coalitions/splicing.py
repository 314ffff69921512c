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

import numpy as np
import torch
from torch import Tensor

from detectors.detector import Detector
from detectors.frontends.frontend import Layer
from detectors.models.network import Stage

from .masking import Windows
from .pooling import Pooled, passes_over
from .segment import Segment

BATCH = 4  # passes at once
HEAD_BATCH = 32


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
            while stages and stages[0].layers is not None:
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


class SplicedParts:
    """The parts of a detector, each spliced by itself; a game as `Splicer` is one."""

    def __init__(self, detector: Detector, games: Sequence[Splicer | Pooled]) -> None:
        self.detector, self.games = detector, games
        self.passes, self.each = sum(g.passes for g in games), sum(g.each for g in games)
        self.batch = min(game.batch for game in games)

    def __call__(self, coalitions: Tensor) -> Tensor:
        logits = torch.stack([game(coalitions) for game in self.games], dim=1)
        return self.detector.combine(logits)


def splice(
    detector: Detector,
    segment: Segment,
    players: Windows,
    behind: Tensor,
    plays: int | None = None,
) -> SplicedParts:
    """The game of a detector's windows, prepared; see `Splicer` for the arguments."""
    pinned = segment.pin(detector)
    games = [
        Pooled(part, segment, players)
        if passes_over(part)
        else Splicer(part, segment, players, behind, plays)
        for _, part in pinned.parts
    ]
    return SplicedParts(pinned, games)


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

    A network without any, or behind a front-end that looks at the whole clip, is all head.
    """
    layers = detector.frontend.local_layers()
    stages, head = detector.net.local_stages()
    if layers is None or not stages:
        return [], lambda x: detector.logits(x, levelled=True)
    first = [Stage(detector.frontend, layers)] if layers else []
    return [*first, *stages], head


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
