"""Features computed once and kept on disk, for front-ends too slow to run at every batch."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from detectors.catalog import build_frontend
from detectors.frontends import level
from detectors.runtime import whole

from .augment import augment
from .config import TrainConfig
from .data import Batches

CACHE = Path("runs/features")
Job = tuple[np.ndarray, int, Path]  # int16 audio, number of the copy, file of its features


def featurise(
    config: TrainConfig, audio: Sequence[np.ndarray], copies: int = 1
) -> list[list[np.ndarray]]:
    """Features of each (n,) int16 clip and of its augmented copies, (..., frames) float16.

    The first copy is the clip as it is; the others are augmented by the recipe, the same way each
    time. A file is named by the audio, the copy and the augmentation, its folder by the front-end,
    its options and version, so that nothing is computed twice and nothing stale is read.
    """
    frontend = build_frontend(config.frontend, config.frontend_options)
    definition = [config.frontend, config.frontend_options, getattr(frontend, "version", 0)]
    folder = CACHE / f"{config.frontend}-{_digest(json.dumps(definition, sort_keys=True).encode())}"
    folder.mkdir(parents=True, exist_ok=True)
    chances = json.dumps(asdict(config.augment), sort_keys=True).encode()
    jobs: list[Job] = []
    for clip in audio:
        for copy in range(copies):
            of = clip.tobytes() + (chances if copy else b"")
            jobs.append((clip, copy, folder / f"{_digest(of)}-{copy}.npy"))
    _make([job for job in jobs if not job[2].exists()], config)
    features = [np.load(path) for _, _, path in jobs]
    return [features[i : i + copies] for i in range(0, len(features), copies)]


class FeatureBatches(Batches):
    """Batches of features instead of audio: x is (b, ..., frames), each row from any copy."""

    def _crop(self, row: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = self.audio[row][rng.integers(len(self.audio[row]))]
        start = rng.integers(0, max(x.shape[-1] - n, 0) + 1)
        frames = (start + np.arange(n)) % x.shape[-1]  # what is too short is repeated
        return x[..., frames].astype(np.float32), np.full(n, self.clips[row].is_spoof)


def _make(jobs: Sequence[Job], config: TrainConfig) -> None:
    """Compute what is missing, in as many processes as there are cores."""
    if not jobs:
        return
    spawn = multiprocessing.get_context("spawn")  # forking after PyTorch has threads may hang
    with ProcessPoolExecutor(os.cpu_count(), spawn, _one_thread) as pool:
        done = pool.map(_Maker(config), jobs, chunksize=8)
        for _ in tqdm(done, total=len(jobs), desc="features", unit="clip", mininterval=5):
            pass


def _one_thread() -> None:
    torch.set_num_threads(1)


class _Maker:
    """Writes one file of features; a callable that can be sent to another process."""

    def __init__(self, config: TrainConfig) -> None:
        self.chances = config.augment
        self.frontend = build_frontend(config.frontend, config.frontend_options)

    def __call__(self, job: Job) -> None:
        clip, copy, path = job
        x = clip.astype(np.float32) / 32767
        if copy:
            seed = int.from_bytes(hashlib.sha256(clip.tobytes()).digest()[:8], "big")
            x = augment(x, self.chances, np.random.default_rng([seed, copy]))
        with torch.inference_mode():
            features = self.frontend(level(torch.from_numpy(x)[None]))[0].numpy()
        with whole(path) as scratch, scratch.open("wb") as file:
            np.save(file, features.astype(np.float16))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
