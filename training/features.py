"""Features computed once and kept on disk, for front-ends too slow to run at every batch, and what
the head of a frozen network reads.

They stay there: batches read the few that they are drawn from, so that memory sets no limit to how
many variants there are.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from corpora.manifest import Clip
from detectors.audio import RATE
from detectors.catalog import build_frontend
from detectors.detector import cut
from detectors.files import remove_scratch, whole
from detectors.frontends.spectrograms import level
from detectors.models.network import Network
from detectors.processes import end_with_parent

from .augment import augment, draw
from .batches import Crop, draw_segment
from .recipe import NetworkRecipe

CACHE = Path("runs/features")
CHUNK = 64  # clips: the network goes to the workers with each lot
Job = tuple[np.ndarray, list[int], Path]  # int16 audio, what seeds its augmentation, its file


def cache_features(
    recipe: NetworkRecipe,
    audio: Sequence[np.ndarray],
    variants: int = 1,
    like: Mapping[int, int] | None = None,
    net: Network | None = None,
) -> list[list[Path]]:
    """Files of the features of each (n,) int16 clip and of its augmented variants.

    np.load reads one as (..., frames) float16. With a network they are what its head reads of a
    window, (embedding,): of the first one of the clip as it is, and of a crop of each variant.

    The first variant is the clip as it is; the others are augmented by the recipe, the same way
    each time, and those of clip i as those of clip like[i], if it has one. A file is named by
    audio, augmentation and what seeds it, its folder by the front-end, its options and version, so
    that nothing is computed twice and nothing stale is read.
    """
    frontend = build_frontend(recipe.frontend, recipe.frontend_options)
    definition: list[Any] = [recipe.frontend, recipe.frontend_options, frontend.version]
    if net is not None:
        definition += [recipe.window, recipe.crop_s, _weights_digest(net)]
    folder = CACHE / f"{recipe.frontend}-{_digest(json.dumps(definition, sort_keys=True).encode())}"
    folder.mkdir(parents=True, exist_ok=True)
    remove_scratch(folder)
    chances = json.dumps(asdict(recipe.augment), sort_keys=True).encode()
    jobs: list[Job] = []
    for i, clip in enumerate(audio):
        jobs.append((clip, [], folder / f"{_digest(clip.tobytes())}.npy"))
        seed = _digest(audio[like.get(i, i) if like else i].tobytes())
        name = _digest(clip.tobytes() + chances + seed.encode())
        for variant in range(1, variants):
            jobs.append((clip, [int(seed, 16), variant], folder / f"{name}-{variant}.npy"))
    _make([job for job in jobs if not job[2].exists()], recipe, net)
    paths = [path for _, _, path in jobs]
    return [paths[i : i + variants] for i in range(0, len(paths), variants)]


@dataclass(frozen=True)
class FeatureCrops:
    """Crops of cached features, of any variant of a clip; see `WaveformCrops`.

    files: of each clip's variants. rate: frames a second.
    """

    clips: Sequence[Clip]
    files: Sequence[Sequence[Path]]
    originals: Mapping[int, int]
    splices: float
    rate: float

    def __call__(self, row: int, n: int, rng: np.random.Generator) -> Crop:
        variant = int(rng.integers(len(self.files[row])))
        x = np.load(self.files[row][variant])
        start = rng.integers(0, max(x.shape[-1] - n, 0) + 1)
        frames = (start + np.arange(n)) % x.shape[-1]  # what is too short is repeated
        x, mask = x[..., frames], np.full(n, self.clips[row].is_spoof)
        if row in self.originals and rng.random() < self.splices:
            mask = draw_segment(n, self.rate, rng)
            # a recording and its copy are augmented alike, so they lie at the same frames
            original = np.load(self.files[self.originals[row]][variant])
            x = np.where(mask, x, original[..., frames])
        return x.astype(np.float32), mask


def _make(jobs: Sequence[Job], recipe: NetworkRecipe, net: Network | None) -> None:
    """Compute what is missing, in as many processes as there are cores."""
    if not jobs:
        return
    spawn = multiprocessing.get_context("spawn")  # forking after PyTorch has threads may hang
    with ProcessPoolExecutor(os.cpu_count(), spawn, _begin) as pool:
        done = pool.map(_Maker(recipe, net), jobs, chunksize=CHUNK)
        for _ in tqdm(done, total=len(jobs), desc="features", unit="clip", mininterval=5):
            pass


def _begin() -> None:
    end_with_parent()
    torch.set_num_threads(1)


class _Maker:
    """Writes one file of features; a callable that can be sent to another process."""

    def __init__(self, recipe: NetworkRecipe, net: Network | None) -> None:
        self.recipe, self.net = recipe, net
        self.frontend = build_frontend(recipe.frontend, recipe.frontend_options)

    def __call__(self, job: Job) -> None:
        clip, seed, path = job
        x = clip.astype(np.float32) / 32767
        rng = np.random.default_rng(seed)
        if seed:
            x = augment(x, draw(self.recipe.augment, len(x), rng))
        if self.net is not None:
            x = cut(_crop(x, self.recipe.crop_s, rng) if seed else x, 0, self.recipe.window)
        with torch.inference_mode():
            features = self.frontend(level(torch.from_numpy(x)[None]))
            if self.net is not None:
                # bfloat16 moves an embedding less than any augmentation, in half the time
                with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
                    features = self.net.embed(features).float()
        with whole(path) as scratch, scratch.open("wb") as file:
            np.save(file, features[0].numpy().astype(np.float16))


def _crop(x: np.ndarray, seconds: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """So many seconds of x (n,) from anywhere, or all of it."""
    n = int(rng.uniform(*seconds) * RATE)
    start = int(rng.integers(max(len(x) - n, 0) + 1))
    return x[start : start + n]


def _weights_digest(net: Network) -> str:
    """Of what the head does not change: a head that is trained reads the same features again."""
    digest = hashlib.sha256()
    for name, weight in sorted(net.state_dict().items()):
        if not name.startswith("head."):
            digest.update(name.encode() + weight.numpy().tobytes())
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
