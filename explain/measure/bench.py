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
from detectors.processes import end_with_parent
from detectors.runtime import peak_mb, prepare
from detectors.tables import cell, table

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
    """Measure the chosen methods (all valid ones if none).

    naive: whether the naive game is played on a detector named aasist, which takes minutes.

    Returns:
        {threads, rows}; a row is {detector, method, seconds, peak_mb, residual, forwards}, the
        residual None where a method promises none, and that of the naive game has `difference`,
        the largest distance from the fast game's values.

    Raises:
        HearsayError: No detector, or no method of that name is valid for one.
    """
    valid = {name: methods(load(name)) for name in detectors}
    work = [(n, m) for n, own in valid.items() for m in own if not chosen or m in chosen]
    for method in chosen:
        if method not in [m for _, m in work]:
            raise ExplainError(f"'{method}' explains none of {', '.join(detectors)}.")
    if naive and ("aasist", FAST) in work:
        work.append(("aasist", NAIVE))
    rows: list[dict[str, Any]] = []
    values: dict[tuple[str, str], np.ndarray] = {}
    for name, method in tqdm(work, desc="measuring", unit="method"):
        row = measure(name, method)
        values[name, method] = np.array(row.pop("values"))
        rows.append({"detector": name, "method": method, **row})
        if method == NAIVE:
            away = np.abs(values[name, FAST] - values[name, NAIVE]).max()
            rows[-1]["difference"] = float(away)
    return {"threads": torch.get_num_threads(), "rows": rows}


def measure(detector: str, method: str) -> dict[str, Any]:
    """{seconds, peak_mb, residual, forwards, values} of one explanation, in a fresh process.

    peak_mb: the highest resident memory of that process, with PyTorch and the weights in it.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, end_with_parent) as fresh:
        return fresh.submit(_measured, detector, method, torch.get_num_threads()).result()


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    rows = [
        [
            row["detector"],
            row["method"],
            cell(row["seconds"]),
            cell(row["peak_mb"], form=".0f"),
            cell(row["residual"], form=".0e"),
        ]
        for row in result["rows"]
    ]
    head = ["detector", "method", "seconds", "peak MB", "residual"]
    return f"{table(head, rows)}\n\n{result['threads']} threads"


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
