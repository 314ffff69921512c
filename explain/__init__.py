"""Detector and waveform in, explanation out.

from explain import explain
print(explain(load("cnn"), read("clip.m4a")).values)
"""

from __future__ import annotations

import dataclasses
import inspect
import resource
import time
from collections.abc import Callable
from typing import Any

from detectors.audio import Waveform
from detectors.detector import Detector

from . import gradcam, integrated_gradients, shapley_time
from .explanation import ExplainError, Explanation, decisive_seconds

METHODS: dict[str, Callable[..., Explanation]] = {
    "shapley-time": shapley_time.attribute,
    "gradcam": gradcam.attribute,
    "integrated-gradients": integrated_gradients.attribute,
}

__all__ = ["METHODS", "ExplainError", "Explanation", "decisive_seconds", "explain", "methods"]


def methods(detector: Detector) -> list[str]:
    """Names of the methods that are valid for this detector."""
    return [name for name in METHODS if name != "gradcam" or gradcam.valid(detector)]


def explain(
    detector: Detector, wave: Waveform, method: str = "shapley-time", **options: Any
) -> Explanation:
    """Explain what `detector` says about `wave` by one of `METHODS`.

    options are the method's own keywords, for instance players=5 or start_s=12.0. Raises
    ExplainError, one sentence, on a method that is unknown or not valid for this detector, on an
    option that the method does not have, and on a value that it does not take.
    """
    names = methods(detector)
    if method not in names:
        raise ExplainError(
            f"'{method}' does not explain {detector.config.name}; valid are {', '.join(names)}."
        )
    known = [p for p in inspect.signature(METHODS[method]).parameters][2:]
    surplus = [name for name in options if name not in known]
    if surplus:
        raise ExplainError(
            f"{method} has no option '{surplus[0]}'; its options are {', '.join(known)}."
        )
    started = time.perf_counter()
    explanation = METHODS[method](detector, wave, **options)
    return dataclasses.replace(
        explanation,
        seconds=time.perf_counter() - started,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
