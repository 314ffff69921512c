"""Speed of the detectors, as ratios against plain PyTorch in the same run.

The reference is the same network with PyTorch's defaults: contiguous tensors instead of
channels_last, the allocator as it comes, one window a call. It runs in a process of its own, since
`runtime.prepare` cannot be taken back.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch

from . import load
from .audio import RATE, Facts, Waveform
from .detector import Detector

ROUNDS = 5


def bench(models: Sequence[str]) -> dict[str, Any]:
    """Seconds a window, beside the reference, and seconds for all models on 4 s and 60 s of sound.

    {threads, models: {name: {seconds, reference_seconds, speedup}}, clip_4s, clip_60s, peak_mb};
    clip_*: seconds until every model has scored the clip; peak_mb: of this process alone.
    """
    detectors = {name: load(name) for name in models}
    threads = torch.get_num_threads()
    rows = {name: _compared(name, detector, threads) for name, detector in detectors.items()}
    totals = {f"clip_{s}s": _clip(list(detectors.values()), s) for s in (4, 60)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"threads": threads, "models": rows, **totals, "peak_mb": round(peak)}


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"{'model':12} {'ms a window':>12} {'plain PyTorch':>14} {'speedup':>8}"]
    for name, row in result["models"].items():
        ours, plain = 1000 * row["seconds"], 1000 * row["reference_seconds"]
        lines.append(f"{name:12} {ours:12.1f} {plain:14.1f} {row['speedup']:7.2f}x")
    lines.append(
        f"all models: {result['clip_4s']:.2f} s for 4 s of sound, {result['clip_60s']:.1f} s for a "
        f"minute; peak {result['peak_mb']} MB on {result['threads']} threads"
    )
    return "\n".join(lines)


def _compared(name: str, detector: Detector, threads: int) -> dict[str, float]:
    ours = _window(detector)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as fresh:
        plain = fresh.submit(_plain, name, threads).result()
    return {"seconds": ours, "reference_seconds": plain, "speedup": plain / ours}


def _plain(name: str, threads: int) -> float:
    """The reference's seconds a window; runs in a fresh process."""
    torch.set_num_threads(threads)
    detector = load(name)
    detector.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _window(detector)


def _window(detector: Detector) -> float:
    """Median seconds for one window; the first round warms up."""
    x = torch.from_numpy(_noise(detector.config.window / RATE))[None]
    with torch.inference_mode():
        rounds = [_seconds(lambda: detector.logits(x)) for _ in range(ROUNDS + 1)]
    return statistics.median(rounds[1:])


def _clip(detectors: Sequence[Detector], seconds: int) -> float:
    samples = _noise(seconds)
    wave = Waveform(samples, Facts(seconds, RATE, 1, "none", "noise", 0.2, 0.0, 8000.0, 0.0, ()))
    return _seconds(lambda: [detector.score(wave) for detector in detectors])


def _noise(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.05 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
