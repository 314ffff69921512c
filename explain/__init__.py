"""Detector and waveform in, explanation out.

from explain import explain
print(explain(load("cnn"), read("clip.m4a")).values)
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Callable
from typing import Any

from detectors.audio.reader import Waveform
from detectors.detector import Detector
from detectors.runtime import peak_mb

from .coalitions import spectrogram
from .coalitions.game import Progress, TimeOptions
from .explanation import ExplainError, Explanation, decisive_seconds
from .methods import (
    band_inclusion,
    deeplift,
    gradcam,
    gradients,
    guided_gradcam,
    integrated_gradients,
    lime,
    occlusion,
    owen_patches,
    shap_library,
    shapley_bands,
    shapley_groups,
    shapley_multigrid,
    shapley_time,
    sliding_window,
)

METHODS: dict[str, Callable[..., Explanation]] = {
    "shapley-time": shapley_time.attribute,
    "shapley-grids": shapley_multigrid.attribute,
    "shapley-bands": shapley_bands.attribute,
    "shapley-patches": owen_patches.attribute,
    "shapley-groups": shapley_groups.attribute,
    "gradcam": gradcam.attribute,
    "guided-gradcam": guided_gradcam.attribute,
    "integrated-gradients": integrated_gradients.attribute,
    "gradient-shap": gradients.gradient_shap,
    "saliency": gradients.saliency,
    "deeplift": deeplift.attribute,
    "occlusion": occlusion.attribute,
    "pieces": sliding_window.attribute,
    "bands-alone": band_inclusion.attribute,
    "lime-time": lime.over_windows,
    "lime-patches": lime.over_patches,
    "shap-permutation": shap_library.over_windows,
    "shap-partition": shap_library.over_patches,
}
REFUSALS: dict[str, Callable[[Detector], str | None]] = {
    "shapley-groups": shapley_groups.refusal,
    "gradcam": gradcam.refusal,
    "guided-gradcam": guided_gradcam.refusal,
    "integrated-gradients": spectrogram.refusal,
    "gradient-shap": spectrogram.refusal,
    "saliency": spectrogram.refusal,
    "deeplift": deeplift.refusal,
    "pieces": sliding_window.refusal,
    "shap-permutation": shap_library.refusal,
    "shap-partition": shap_library.refusal,
}

__all__ = [
    "METHODS",
    "ExplainError",
    "Explanation",
    "decisive_seconds",
    "explain",
    "methods",
    "options",
    "refusal",
]


def methods(detector: Detector) -> list[str]:
    """Names of the methods that are valid for this detector."""
    return [name for name in METHODS if refusal(name, detector) is None]


def refusal(method: str, detector: Detector) -> str | None:
    """Why one of `METHODS` is not valid for this detector, half a sentence; None if it is valid."""
    return REFUSALS[method](detector) if method in REFUSALS else None


def options(method: str) -> list[str]:
    """The keywords that a method takes, those of `TimeOptions` among them where it is over time."""
    named = list(inspect.signature(METHODS[method]).parameters.values())[2:]
    own = [p.name for p in named if p.kind is not p.VAR_KEYWORD]
    return own + (list(TimeOptions.__annotations__) if len(own) < len(named) else [])


def explain(
    detector: Detector,
    wave: Waveform,
    method: str = "shapley-time",
    *,
    progress: Progress | None = None,
    **chosen: Any,
) -> Explanation:
    """Explain what `detector` says about `wave` by one of `METHODS`.

    progress: told the share that is done, 0..1, by methods that take long; an exception that it
    raises ends them. chosen: the method's own keywords (`options`), for instance players=5 or
    start_s=12.0. Raises ExplainError, one sentence, on a method that is unknown or not valid for
    this detector, on an option that the method does not have, and on a value that it does not take.
    """
    if method not in METHODS:
        raise ExplainError(f"There is no method '{method}'; there are {', '.join(METHODS)}.")
    reason = refusal(method, detector)
    if reason:
        raise ExplainError(
            f"'{method}' does not explain {detector.config.name}: {reason}. Valid are "
            f"{', '.join(methods(detector))}."
        )
    known = options(method)
    hook: dict[str, Any] = {}
    if "progress" in known:
        known.remove("progress")
        hook["progress"] = progress
    surplus = [name for name in chosen if name not in known]
    if surplus:
        raise ExplainError(
            f"{method} has no option '{surplus[0]}'; its options are {', '.join(known)}."
        )
    if not isinstance(chosen.get("seed", 0), int) or chosen.get("seed", 0) < 0:
        raise ExplainError(f"seed is a number from 0, not {chosen['seed']}.")
    if not math.isfinite(chosen.get("start_s") or 0.0):
        raise ExplainError(f"start_s is a number of seconds, not {chosen['start_s']}.")
    started = time.perf_counter()
    explanation = METHODS[method](detector, wave, **chosen, **hook)
    return dataclasses.replace(
        explanation,
        seconds=time.perf_counter() - started,
        peak_mb=peak_mb(),
    )
