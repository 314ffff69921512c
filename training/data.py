"""Clips in memory, a balanced order of them for each epoch, and augmented crops of a batch."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from corpora.manifest import Clip, originals
from detectors.audio.reader import RATE

from .augment import Augment, move, transmit


def epoch_plan(
    clips: Sequence[Clip],
    pairs: int,
    same_source: float,
    rng: random.Random,
    paired: float = 0.0,
) -> list[int]:
    """Indices of one epoch: `pairs` times a bona fide and a spoofed clip.

    A share `paired` of the pairs are a recording and a copy of it, which nothing but the copying
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
    for copy, original in originals(clips).items() if paired else ():
        copies[original].append(copy)
    plan = []
    for _ in range(pairs):
        real, fake = bonafide, spoof
        if copies and rng.random() < paired:
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


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Batches of augmented crops; batch i of epoch e is a function of (seed, e, i) alone.

    Each item is x (b, n) float32, y (b,), 1 = spoof, and which samples are synthetic, (b, n) bool.
    All crops of a batch have one length, drawn from `crop_s` seconds; clips too short for it are
    repeated. With the chance `swaps`, of a copy that was drawn only a stretch of 0.5 to 1.5 s is
    put into the recording it was made of.
    """

    def __init__(
        self,
        audio: Sequence[np.ndarray],
        clips: Sequence[Clip],
        plan: Sequence[int],
        batch: int,
        crop_s: tuple[float, float],
        chances: Augment,
        seed: tuple[int, int],
        swaps: float = 0.0,
        rate: float = RATE,
    ) -> None:
        self.audio, self.clips, self.plan, self.batch = audio, clips, plan, batch
        self.crop_s, self.chances, self.seed, self.swaps = crop_s, chances, seed, swaps
        self.original = originals(clips) if swaps else {}
        self.rate = rate

    def __len__(self) -> int:
        return len(self.plan) // self.batch

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([*self.seed, i])
        n = int(rng.uniform(*self.crop_s) * self.rate)
        rows = self.plan[i * self.batch : (i + 1) * self.batch]
        x, where = zip(*(self._crop(row, n, rng) for row in rows), strict=True)
        y = np.array([self.clips[row].is_spoof for row in rows], dtype=np.float32)
        return torch.from_numpy(np.stack(x)), torch.from_numpy(y), torch.from_numpy(np.stack(where))

    def _crop(self, row: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n samples of a clip, augmented, and which of them are synthetic."""
        swapped = row in self.original and rng.random() < self.swaps
        same = deepcopy(rng)  # what lies together is moved alike
        clip = self._samples(row)
        x = move(clip, self.chances, rng)
        label = np.full(len(clip), float(self.clips[row].is_spoof), dtype=np.float32)
        fake = move(label, self.chances, deepcopy(same)) > 0.5
        start = int(rng.integers(max(0, len(x) - n) + 1))
        crop = slice(start, start + n)
        if swapped and fake[crop].any():
            original = np.resize(self._samples(self.original[row]), len(clip))
            x, fake = self._swapped(move(original, self.chances, same), x, fake, crop, rng)
        x = transmit(x, self.chances, rng)
        if len(x) < n:
            return np.resize(x, n), np.resize(fake, n)
        return x[crop], fake[crop]

    def _samples(self, row: int) -> np.ndarray:
        return self.audio[row].astype(np.float32) / 32767

    def _swapped(
        self,
        x: np.ndarray,
        copy: np.ndarray,
        sound: np.ndarray,
        crop: slice,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The recording x with a stretch of its copy, and where that is: in the sound of a crop.

        Where the crop lies was drawn before, as for any other clip: a stretch that drew the crop to
        itself would show less of the edges, or more.
        """
        from corpora.partial_spoof import swap  # the fakers' libraries are an extra

        at = crop.start + np.flatnonzero(sound[crop])
        at = at[self._stretch(len(at), rng)]
        where = np.zeros(len(x), dtype=bool)
        where[at] = True
        return swap(x, copy, at[0] / RATE, (at[-1] + 1) / RATE), where

    def _stretch(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of 0.5 to 1.5 s somewhere in n samples or frames: (n,) bool."""
        seconds = n / self.rate
        long = min(rng.uniform(0.5, 1.5), seconds)
        start = rng.uniform(0, seconds - long)
        at = np.arange(n) / self.rate
        return (at >= start) & (at < start + long)
