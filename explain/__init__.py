"""Detector and waveform in, explanation out.

from explain import explain
print(explain(load("cnn"), read("clip.m4a")).values)
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np

from detectors.audio import RATE, Waveform
from detectors.detector import Detector
from detectors.runtime import peak_mb

from .catalog import METHODS, Method
from .coalitions.game import Progress
from .explanation import ExplainError, Explanation, decisive_seconds

__all__ = [
    "METHODS",
    "ExplainError",
    "Explanation",
    "Method",
    "decisive_seconds",
    "explain",
    "methods",
    "refusal",
]


def methods(detector: Detector) -> list[str]:
    """Names of the methods that are valid for this detector."""
    return [name for name in METHODS if refusal(name, detector) is None]


def refusal(method: str, detector: Detector) -> str | None:
    """Why one of `METHODS` is not valid for this detector, half a sentence; None if it is valid."""
    return METHODS[method].refusal(detector)


def explain(
    detector: Detector,
    wave: Waveform,
    method: str = "shapley-time",
    *,
    progress: Progress | None = None,
    **chosen: Any,
) -> Explanation:
    """Explain what `detector` says about `wave` by one of `METHODS`.

    Args:
        progress: Told the share that is done, 0..1, by methods that take long; an exception that
            it raises ends them.
        chosen: The method's own keywords (`Method.options`), for instance players=5. start_s is in
            seconds of the recording, as are the explanation's times.

    Raises:
        ExplainError: The method is unknown or not valid for this detector, or has no such option,
            or the option does not take this value.
    """
    if method not in METHODS:
        raise ExplainError(f"There is no method '{method}'; there are {', '.join(METHODS)}.")
    reason = refusal(method, detector)
    if reason:
        raise ExplainError(
            f"'{method}' does not explain {detector.config.name}: {reason}. Valid are "
            f"{', '.join(methods(detector))}."
        )
    row = METHODS[method]
    surplus = [name for name in chosen if name not in row.options]
    if surplus:
        raise ExplainError(
            f"{method} has no option '{surplus[0]}'; its options are {', '.join(row.options)}."
        )
    if row.takes_progress:
        chosen["progress"] = progress
    if not isinstance(chosen.get("seed", 0), int) or chosen.get("seed", 0) < 0:
        raise ExplainError(f"seed is a number from 0, not {chosen['seed']}.")
    if not math.isfinite(chosen.get("start_s") or 0.0):
        raise ExplainError(f"start_s is a number of seconds, not {chosen['start_s']}.")
    if chosen.get("start_s") is not None:
        chosen["start_s"] = float(wave.position(chosen["start_s"])) / RATE
    started = time.perf_counter()
    explanation = row.attribute(detector, wave, **chosen)
    return dataclasses.replace(
        explanation,
        times=_recording_s(wave, explanation.times),
        method=method,
        detector=detector.config.name,
        seconds=time.perf_counter() - started,
        peak_mb=peak_mb(),
    )


def _recording_s(wave: Waveform, times: np.ndarray | None) -> np.ndarray | None:
    """Edges in seconds of the samples -> seconds of the recording, whose silences were left out."""
    if times is None or not wave.kept:
        return times
    position = times * RATE
    last = wave.recording_s(position[-1:], ending=True)
    return np.append(wave.recording_s(position[:-1]), last)
