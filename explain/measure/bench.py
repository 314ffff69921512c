"""Seconds and peak memory of every method on every detector, each in a fresh process.

The clip is noise of a window's length. The naive game masks the clip and runs the whole detector
for each coalition: what an exact Shapley value costs without the fast path of `spliced`.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from detectors import load
from detectors.audio import Waveform, bare
from detectors.detector import Detector
from detectors.runtime import peak_mb, prepare

from .. import explain, methods
from ..coalitions.game import Game
from ..coalitions.masking import baseline, windows
from ..coalitions.segment import most_suspicious_segment
from ..coalitions.shapley import solve
from ..explanation import ExplainError, Explanation

PLAYERS = 8
FAST = "shapley-time"
NAIVE = "naive-shapley-time"  # not a method that is offered: see the top of this file


def bench(
    detectors: Sequence[str], chosen: Sequence[str] = (), naive: bool = True
) -> dict[str, Any]:
    """{threads, detectors: {name: {method: figures}}, aasist_shapley8, aasist_naive8}.

    figures: {seconds, peak_mb, residual, forwards}; residual is None where a method promises none.
    The two last are there when a detector named aasist is measured (naive: whether the naive game
    is played, which takes minutes); aasist_naive8 has `difference`, the largest distance from
    the fast game's values. Raises DetectorError, and ExplainError for a method that none has.
    """
    valid = {name: methods(load(name)) for name in detectors}
    work = [(n, m) for n, own in valid.items() for m in own if not chosen or m in chosen]
    for method in chosen:
        if method not in [m for _, m in work]:
            raise ExplainError(f"'{method}' explains none of {', '.join(detectors)}.")
    if naive and ("aasist", FAST) in work:
        work.append(("aasist", NAIVE))
    measured: dict[str, dict[str, Any]] = {name: {} for name in detectors}
    values: dict[tuple[str, str], np.ndarray] = {}
    for name, method in tqdm(work, desc="measuring", unit="method"):
        figures = measure(name, method)
        values[name, method] = np.array(figures.pop("values"))
        measured[name][method] = figures
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "detectors": measured}
    headline = measured.get("aasist", {})
    if FAST in headline:
        result["aasist_shapley8"] = headline[FAST]
    if NAIVE in headline:
        away = np.abs(values["aasist", FAST] - values["aasist", NAIVE]).max()
        result["aasist_naive8"] = {**headline.pop(NAIVE), "difference": float(away)}
    return result


def measure(detector: str, method: str) -> dict[str, Any]:
    """{seconds, peak_mb, residual, forwards, values} of one explanation, in a fresh process.

    peak_mb: the highest resident memory of that process, with PyTorch and the weights in it.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as fresh:
        return fresh.submit(_measured, detector, method, torch.get_num_threads()).result()


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"{'detector':12} {'method':24} {'seconds':>8} {'peak MB':>8} {'residual':>9}"]
    rows = [(n, m, f) for n, own in result["detectors"].items() for m, f in own.items()]
    rows += [("aasist", NAIVE, result["aasist_naive8"])] if "aasist_naive8" in result else []
    for name, method, figures in rows:
        residual = "-" if figures["residual"] is None else f"{figures['residual']:.0e}"
        lines.append(
            f"{name:12} {method:24} {figures['seconds']:8.2f} {figures['peak_mb']:8.0f} "
            f"{residual:>9}"
        )
    return "\n".join([*lines, f"{result['threads']} threads"])


def _measured(name: str, method: str, threads: int) -> dict[str, Any]:
    prepare(threads)
    detector = load(name)
    wave = _noise(detector.config.window)
    naive = method == NAIVE
    once = partial(_naive, detector, wave) if naive else partial(explain, detector, wave, method)
    # what is loaded at the first use is no part of a method; the naive game takes minutes
    if naive:
        detector.score(wave)
    else:
        once()
    started = time.perf_counter()
    explanation = once()
    residual = explanation.residual
    return {
        "seconds": time.perf_counter() - started,
        "peak_mb": peak_mb(),
        "residual": None if np.isnan(residual) else residual,
        "forwards": explanation.forwards,
        "values": explanation.values.tolist(),
    }


def _naive(detector: Detector, wave: Waveform) -> Explanation:
    """The game of `shapley_time` by one forward a coalition."""
    segment = most_suspicious_segment(detector, wave, 0.0)
    cut = windows(len(segment.samples), PLAYERS)
    behind, pinned = baseline(segment.samples), segment.pin(detector)

    def value(on: Tensor) -> Tensor:
        masked = segment.fill(cut.mask(segment.samples, behind, on))
        return pinned.logits(masked, levelled=True)

    solution = solve(Game(PLAYERS, value, batch=1, passes=2**PLAYERS), 2**PLAYERS)
    return Explanation(
        method=NAIVE,
        detector=detector.config.name,
        values=solution.values,
        times=segment.seconds(cut.edges),
        freqs=None,
        full=solution.full,
        empty=solution.empty,
        residual=solution.residual,
        forwards=2**PLAYERS,
    )


def _noise(n: int) -> Waveform:
    return bare((0.05 * np.random.default_rng(0).standard_normal(n)).astype(np.float32))
