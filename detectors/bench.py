"""Speed and memory of the detectors, beside plain PyTorch in the same run.

The reference is the same network with PyTorch's defaults: contiguous tensors instead of
channels_last, the allocator as it comes, one window a call. Both sides have a process of their own,
since `runtime.prepare` cannot be taken back and memory is only measured well in a fresh one; they
take turns, so that whatever else the machine does slows both.
"""

from __future__ import annotations

import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from . import bundled, load
from .audio import RATE, bare
from .catalog import CATALOG
from .config import Config
from .detector import Detector
from .errors import HearsayError
from .runtime import peak_mb, prepare
from .tables import cell, table

ROUNDS = 5
ROWS = 16


def bench(models: Sequence[str]) -> dict[str, Any]:
    """Time and memory of each model, and seconds for all of them on 4 s and 60 s of sound.

    models: what `load` takes, or architectures of the catalogue, which get seeded weights.
    {threads, models: {name: row}, clip_4s, clip_60s, peak_mb}; clip_*: seconds until every model
    has scored the clip; peak_mb: of this process. A row: seconds and reference_seconds for one
    window, their ratio speedup, batch and batch_seconds (a window, when so many are scored at
    once), and of a fresh process loaded_mb before the first window and peak_mb after sixteen.
    """
    detectors = {name: open_or_make(name) for name in models}
    threads = torch.get_num_threads()
    rows = {name: _row(name, detector, threads) for name, detector in detectors.items()}
    totals = {f"clip_{s}s": _clip(list(detectors.values()), s) for s in (4, 60)}
    return {"threads": threads, "models": rows, **totals, "peak_mb": round(peak_mb())}


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    head = [
        "model", "ms a window", "plain", "speedup", "by batch", "MB loaded", f"MB, {ROWS} windows",
    ]  # fmt: skip
    rows = [
        [
            name,
            cell(1000 * row["seconds"], form=".1f"),
            cell(1000 * row["reference_seconds"], form=".1f"),
            f"{row['speedup']:.2f}x",
            f"{1000 * row['batch_seconds']:.1f} ({row['batch']})",
            str(row["loaded_mb"]),
            str(row["peak_mb"]),
        ]
        for name, row in result["models"].items()
    ]
    return (
        f"{table(head, rows)}\n\n"
        f"all models: {result['clip_4s']:.2f} s for 4 s of sound, {result['clip_60s']:.1f} s for a "
        f"minute; peak {result['peak_mb']} MB on {result['threads']} threads"
    )


def open_or_make(name: str) -> Detector:
    """Detector by name; of an architecture that has no bundled one, with seeded random weights."""
    if name in bundled() or name not in CATALOG:
        return load(name)
    torch.manual_seed(0)
    entry = CATALOG[name]
    config = Config(name, name, frontend=entry.frontend, frontend_options=entry.frontend_options)
    try:
        return Detector(config)
    except ValueError as error:
        raise HearsayError(f"'{name}' cannot be measured by its name alone: {error}") from error


def _row(name: str, detector: Detector, threads: int) -> dict[str, Any]:
    with _process(prepare, threads) as ours, _process(torch.set_num_threads, threads) as plain:
        loaded = ours.submit(_loaded_mb, name).result()
        turns = [
            [side.submit(_seconds_a_window, name, side is plain).result() for side in (ours, plain)]
            for _ in range(ROUNDS + 1)
        ]
        seconds, reference = (statistics.median(side) for side in zip(*turns[1:], strict=True))
        batched = [ours.submit(_seconds_a_window, name, False, detector.batch) for _ in range(3)]
        return {
            "seconds": seconds,
            "reference_seconds": reference,
            "speedup": reference / seconds,
            "batch": detector.batch,
            "batch_seconds": statistics.median(turn.result() for turn in batched),
            "loaded_mb": loaded,
            "peak_mb": ours.submit(_sixteen_mb, name).result(),
        }


def _process(setup: Callable[[int], None], threads: int) -> ProcessPoolExecutor:
    """One fresh process; forked ones would have this one's memory and threads."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=setup, initargs=(threads,))


@functools.cache
def _detector(name: str, plain: bool) -> Detector:
    detector = open_or_make(name)
    if plain:
        detector.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return detector


def _loaded_mb(name: str) -> int:
    _detector(name, False)
    return round(peak_mb())


def _seconds_a_window(name: str, plain: bool, batch: int = 1) -> float:
    detector = _detector(name, plain)
    x = _windows(detector, batch)
    with torch.inference_mode():
        return _seconds(lambda: detector.logits(x)) / batch


def _sixteen_mb(name: str) -> int:
    detector = _detector(name, False)
    with torch.inference_mode():
        for part in _windows(detector, ROWS).split(detector.batch):
            detector.logits(part)
    return round(peak_mb())


def _windows(detector: Detector, count: int) -> torch.Tensor:
    return torch.from_numpy(_noise(count * detector.config.window)).view(count, -1)


def _clip(detectors: Sequence[Detector], seconds: int) -> float:
    # speech is looked for once, when a recording is read
    wave = replace(bare(_noise(seconds * RATE)), spans=((0.0, float(seconds)),))
    return _seconds(lambda: [detector.score(wave) for detector in detectors])


def _noise(n: int) -> np.ndarray:
    return (0.05 * np.random.default_rng(0).standard_normal(n)).astype(np.float32)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
