"""The balanced order of an epoch's clips, and batches of crops of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from corpora.manifest import Clip, originals
from corpora.partial_spoof import splice
from detectors.audio import RATE

from .augment import Augment, degrade, draw, retime


def epoch_plan(
    clips: Sequence[Clip],
    pairs: int,
    same_source: float,
    rng: random.Random,
    copy_pairs: float = 0.0,
) -> list[int]:
    """Indices of one epoch: `pairs` times a bona fide and a spoofed clip.

    A share `copy_pairs` of them are a recording and a copy of it, which nothing but the copying
    tells apart. Of the others a share `same_source` come from one source, so that the channel does
    not tell them apart. Within a label, the root of a group's size decides how often it is drawn:
    bona fide clips by speaker, spoofs by system.
    """
    bonafide = [i for i, c in enumerate(clips) if not c.is_spoof]
    spoof = [i for i, c in enumerate(clips) if c.is_spoof]
    weight = _weights(clips)
    by_source: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for i, c in enumerate(clips):
        by_source[c.source][c.is_spoof].append(i)
    mixed = [both for name, both in sorted(by_source.items()) if name and both[0] and both[1]]
    sizes = [min(len(real), len(fake)) ** 0.5 for real, fake in mixed]
    copies: dict[int, list[int]] = defaultdict(list)
    for copy, original in originals(clips).items() if copy_pairs else ():
        copies[original].append(copy)
    plan = []
    for _ in range(pairs):
        real, fake = bonafide, spoof
        if copies and rng.random() < copy_pairs:
            one = rng.choices(list(copies), [weight[i] for i in copies])
            real, fake = one, copies[one[0]]
        elif mixed and rng.random() < same_source:
            real, fake = rng.choices(mixed, sizes)[0]
        plan += rng.choices(real, [weight[i] for i in real])
        plan += rng.choices(fake, [weight[i] for i in fake])
    return plan


def _weights(clips: Sequence[Clip]) -> list[float]:
    """1 / root of the size of the group (speaker or system) that a clip belongs to."""
    groups = [("system", c.system) if c.is_spoof else ("speaker", c.speaker) for c in clips]
    size: dict[tuple[str, str], int] = defaultdict(int)
    for group in groups:
        size[group] += 1
    return [size[group] ** -0.5 for group in groups]


Crop = tuple[np.ndarray, np.ndarray]  # (..., n) float32, and which moments are synthetic, (n,) bool


class Crops(Protocol):
    """Draws a crop of n samples or frames, `rate` a second, from the clip of a row."""

    @property
    def rate(self) -> float: ...

    def __call__(self, row: int, n: int, rng: np.random.Generator) -> Crop: ...


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Batches of crops; batch i of epoch e is a function of (seed, e, i) alone.

    Each item is x (b, ..., n) float32, y (b,), 1 = spoof, and which moments are synthetic, (b, n)
    bool. All crops of a batch have one length, drawn from `crop_s` seconds.
    """

    def __init__(
        self,
        crops: Crops,
        clips: Sequence[Clip],
        plan: Sequence[int],
        batch: int,
        crop_s: tuple[float, float],
        seed: tuple[int, int],
    ) -> None:
        self.crops, self.clips, self.plan = crops, clips, plan
        self.batch, self.crop_s, self.seed = batch, crop_s, seed

    def __len__(self) -> int:
        return len(self.plan) // self.batch

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([*self.seed, i])
        n = int(rng.uniform(*self.crop_s) * self.crops.rate)
        rows = self.plan[i * self.batch : (i + 1) * self.batch]
        x, mask = zip(*(self.crops(row, n, rng) for row in rows), strict=True)
        y = np.array([self.clips[row].is_spoof for row in rows], dtype=np.float32)
        return torch.from_numpy(np.stack(x)), torch.from_numpy(y), torch.from_numpy(np.stack(mask))


@dataclass(frozen=True)
class WaveformCrops:
    """Augmented crops of int16 clips; clips that are too short are repeated.

    originals: the recording that each copy was made of (see `corpora.manifest.originals`). splices:
    how often a copy gives only a segment of 0.5 to 1.5 s to its recording.
    """

    clips: Sequence[Clip]
    audio: Sequence[np.ndarray]
    chances: Augment
    originals: Mapping[int, int] = field(default_factory=dict)
    splices: float = 0.0
    rate: float = RATE

    def __call__(self, row: int, n: int, rng: np.random.Generator) -> Crop:
        """Draw how to augment, where to crop and whether to splice; then do it in this order.

        The crop is drawn before the segment: a segment that drew the crop to itself would show less
        of a recording's edges than other crops do, or more.
        """
        clip = self._samples(row)
        drawn = draw(self.chances, len(clip), rng)
        x = retime(clip, drawn)
        mask = retime(np.full(len(clip), self.clips[row].is_spoof, np.float32), drawn) > 0.5
        start = int(rng.integers(max(0, len(x) - n) + 1))
        crop = slice(start, start + n)
        if row in self.originals and rng.random() < self.splices and mask[crop].any():
            at = crop.start + np.flatnonzero(mask[crop])
            at = at[draw_segment(len(at), self.rate, rng)]
            original = retime(np.resize(self._samples(self.originals[row]), len(clip)), drawn)
            x = splice(original, x, at[0] / RATE, (at[-1] + 1) / RATE)
            mask = np.isin(np.arange(len(x)), at)
        x = degrade(x, drawn)
        return (np.resize(x, n), np.resize(mask, n)) if len(x) < n else (x[crop], mask[crop])

    def _samples(self, row: int) -> np.ndarray:
        return self.audio[row].astype(np.float32) / 32767


def draw_segment(n: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """A segment of 0.5 to 1.5 s somewhere in n samples or frames: (n,) bool."""
    seconds = n / rate
    length = min(rng.uniform(0.5, 1.5), seconds)
    start = rng.uniform(0, seconds - length)
    at = np.arange(n) / rate
    return (at >= start) & (at < start + length)
