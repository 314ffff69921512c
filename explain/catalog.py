"""The methods of explanation: one record each, with everything that the program knows about it.

To add a method, write its function in a file of `methods/` and a row here. The order is that of
preference: where methods are offered or compared and nothing has been measured, the first one wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.detector import Detector

from .coalitions import spectrogram
from .coalitions.time_game import TimeOptions
from .explanation import Explanation
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

TIME, FREQUENCY, BOTH, FEATURE = "time", "frequency", "time-frequency", "feature"
GAME = tuple(TimeOptions.__annotations__)  # of all methods that play the game of windows


def no_refusal(detector: Detector) -> str | None:
    """For methods that are valid for every detector."""
    return None


@dataclass(frozen=True)
class Method:
    """One way to explain a score.

    Attributes:
        name: What users type.
        title: What users read.
        axis: What a value belongs to: "time", "frequency", "time-frequency" or "feature".
        attribute: Detector, waveform and `options` in, Explanation out.
        options: The keywords that `attribute` takes, apart from `progress`.
        refusal: Why the method is not valid for a detector, half a sentence; None if it is valid.
        stochastic: It draws random numbers; the same `seed` gives the same answer.
        takes_progress: `attribute` takes a `progress`, through which it can also be stopped.
        unasked: The axes along which it may be shown without being asked for.
        in_cue_map: `explain corpus` uses it when no method is chosen.
        question: What its values say; {part} is a segment, band or feature, {detector} a name.
        how: What its values are; {count} is their number, {gone} what becomes of absent segments.
            Every method that is shown unasked has it.
    """

    name: str
    title: str
    axis: str
    attribute: Callable[..., Explanation]
    options: tuple[str, ...]
    refusal: Callable[[Detector], str | None] = no_refusal
    stochastic: bool = False
    takes_progress: bool = False
    unasked: tuple[str, ...] = ()
    in_cue_map: bool = False
    question: str = "How far each {part} moved {detector}'s answer"
    how: str = ""


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "shapley-multigrid",
            "Shapley values on several grids",
            TIME,
            shapley_multigrid.attribute,
            ("grids", "cells", "smooth", *GAME),
            stochastic=True,
            takes_progress=True,
            unasked=(TIME,),
            how="Exact Shapley values in LLR: cut into 4, 5, 6 and 7 segments in turn, the sound "
            "is heard in every combination of them, and what is left out is {gone}; shown is "
            "the mean, smoothed.",
        ),
        Method(
            "sliding-window",
            "Each second by itself",
            TIME,
            sliding_window.attribute,
            ("window_s", "hop_s", "start_s"),
            sliding_window.refusal,
            takes_progress=True,
            unasked=(TIME,),
            question="What {detector} makes of each second by itself",
            how="How far the LLR of each second, heard by itself, lies above the line to fake; as "
            "shares of the mean over all of them.",
        ),
        Method(
            "shapley-time",
            "Shapley values by time",
            TIME,
            shapley_time.attribute,
            ("players", "budget", *GAME),
            stochastic=True,
            takes_progress=True,
            unasked=(TIME,),
            in_cue_map=True,
            how="Exact Shapley values in LLR: {count} segments, heard in every combination; what "
            "is left out is {gone}.",
        ),
        Method(
            "gradcam",
            "Grad-CAM",
            BOTH,
            gradcam.attribute,
            ("start_s",),
            gradcam.refusal,
            unasked=(TIME, FREQUENCY),
            how="Grad-CAM in LLR, summed over frequency: where to listen, not a proof.",
        ),
        Method(
            "guided-gradcam",
            "Guided Grad-CAM",
            BOTH,
            guided_gradcam.attribute,
            ("layers", "start_s"),
            guided_gradcam.refusal,
            unasked=(FREQUENCY,),
        ),
        Method(
            "lime-time",
            "LIME by time",
            TIME,
            lime.over_windows,
            ("players", "samples", *GAME),
            stochastic=True,
            takes_progress=True,
            unasked=(TIME,),
            how="Weights, in LLR, of a linear model of what the detector says when segments "
            "drawn at random are {gone} (LIME).",
        ),
        Method(
            "occlusion",
            "Occlusion",
            TIME,
            occlusion.attribute,
            ("window_s", *GAME),
            stochastic=True,
            takes_progress=True,
            unasked=(TIME,),
            how="How far the LLR falls when a segment is {gone}, one after the other.",
        ),
        Method(
            "band-inclusion",
            "Each band by itself",
            FREQUENCY,
            band_inclusion.attribute,
            ("bands", "baseline", "start_s"),
            takes_progress=True,
            unasked=(FREQUENCY,),
            in_cue_map=True,
            how="How far the LLR of each of {count} bands alone, in background noise, lies above "
            "that of the noise, plus an equal share of what bands do together.",
        ),
        Method(
            "shapley-bands",
            "Shapley values by band",
            FREQUENCY,
            shapley_bands.attribute,
            ("bands", "baseline", "budget", "seed", "start_s"),
            stochastic=True,
            takes_progress=True,
            unasked=(FREQUENCY,),
            how="Shapley values of {count} bands in LLR, heard in combinations; what is left out "
            "is replaced by background noise.",
        ),
        Method(
            "integrated-gradients",
            "Integrated gradients",
            BOTH,
            integrated_gradients.attribute,
            ("steps", "baseline", "start_s"),
            spectrogram.refusal,
            takes_progress=True,
            unasked=(FREQUENCY,),
        ),
        Method(
            "shapley-groups",
            "Shapley values of voice features",
            FEATURE,
            shapley_groups.attribute,
            ("start_s",),
            shapley_groups.refusal,
            unasked=(FEATURE,),
            in_cue_map=True,
            how="Exact Shapley values in LLR: features of the voice, known to the detector in "
            "every combination; what is left out becomes ordinary.",
        ),
        Method(
            "owen-patches",
            "Shapley values by time and band",
            BOTH,
            owen_patches.attribute,
            ("windows", "bands", "pairs", "baseline", "seed", "start_s"),
            stochastic=True,
            takes_progress=True,
        ),
        Method(
            "lime-patches",
            "LIME by time and band",
            BOTH,
            lime.over_patches,
            ("windows", "bands", "samples", "baseline", "seed", "start_s"),
            stochastic=True,
            takes_progress=True,
        ),
        Method(
            "gradient-shap",
            "GradientSHAP",
            BOTH,
            gradients.gradient_shap,
            ("samples", "seed", "start_s"),
            spectrogram.refusal,
            stochastic=True,
            takes_progress=True,
        ),
        Method(
            "saliency",
            "Saliency",
            BOTH,
            gradients.saliency,
            ("times_input", "start_s"),
            spectrogram.refusal,
        ),
        Method(
            "deeplift",
            "DeepLIFT",
            BOTH,
            deeplift.attribute,
            ("baseline", "seed", "start_s"),
            deeplift.refusal,
            stochastic=True,
        ),
        Method(
            "shap-permutation",
            "SHAP's permutations, by time",
            TIME,
            shap_library.over_windows,
            ("players", "permutations", *GAME),
            shap_library.refusal,
            stochastic=True,
            takes_progress=True,
        ),
        Method(
            "shap-partition",
            "SHAP's partitions, by time and band",
            BOTH,
            shap_library.over_patches,
            ("windows", "bands", "evaluations", "baseline", "start_s"),
            shap_library.refusal,
            takes_progress=True,
        ),
    )
}


def unasked(axis: str) -> tuple[str, ...]:
    """Names of the methods that may be shown along an axis without being asked for, best first."""
    return tuple(name for name, method in METHODS.items() if axis in method.unasked)
