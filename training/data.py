"""Clips in memory, a balanced order of them for each epoch, and augmented crops of a batch."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from detectors.audio import RATE

from .augment import Augment, augment, move
from .manifest import Clip, ManifestError


def decode(path: Path) -> np.ndarray:
    """Audio file -> (n,) float32, mono, 16 kHz; ManifestError for what is no audio file."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ManifestError(f"{path} cannot be decoded: {error.error_string}") from error
    mono = samples.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def decode_all(clips: Sequence[Clip]) -> list[np.ndarray]:
    """All clips as int16, which halves the memory: about 115 MB an hour."""
    return [
        np.round(np.clip(decode(c.path), -1, 1) * 32767).astype(np.int16)
        for c in tqdm(clips, desc="decoding", unit="clip", mininterval=5)
    ]


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
        x = self.audio[row].astype(np.float32) / 32767
        where = np.full(len(x), float(self.clips[row].is_spoof), dtype=np.float32)
        if row in self.original and rng.random() < self.swaps:
            original = self.audio[self.original[row]].astype(np.float32) / 32767
            x, where = self._swapped(x, original, n, rng)
        fake = move(where, self.chances, deepcopy(rng)) > 0.5  # moved as the sound is
        x = augment(x, self.chances, rng)
        if len(x) < n:
            return np.resize(x, n), np.resize(fake, n)
        start = rng.integers(0, len(x) - n + 1)
        return x[start : start + n], fake[start : start + n]

    def _swapped(
        self, copy: np.ndarray, x: np.ndarray, n: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """n samples of the recording x with a stretch of its copy in them, and where it is."""
        from .fakes.swap import swap  # the fakers' libraries are an extra

        first = rng.integers(0, max(1, len(x) - n + 1))
        x, copy = x[first : first + n], np.resize(copy, len(x))[first : first + n]
        where = self._stretch(len(x), rng)
        at = np.flatnonzero(where) / RATE
        return swap(x, copy, at[0], at[-1] + 1 / RATE), where.astype(np.float32)

    def _stretch(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of 0.5 to 1.5 s somewhere in n samples or frames: (n,) bool."""
        seconds = n / self.rate
        long = min(rng.uniform(0.5, 1.5), seconds)
        start = rng.uniform(0, seconds - long)
        at = np.arange(n) / self.rate
        return (at >= start) & (at < start + long)


def originals(clips: Sequence[Clip]) -> dict[int, int]:
    """Index of each copy (see `copies`) -> index of the recording that it was made of."""
    by_name = {Path(c.id).name: i for i, c in enumerate(clips) if not c.is_spoof}
    names = {
        i: c.id.removesuffix(c.system.removeprefix("copy"))
        for i, c in enumerate(clips)
        if c.is_spoof
    }
    return {i: by_name[name] for i, name in names.items() if name in by_name}
