"""Methods of explanation as the page offers them: their names, and how often each is right.

    python -m explain evaluate --manifest corpus.csv --split test --json page/hit_rates/test.json

`hit_rates/` is part of the repository: a file for each such run, and where two measured the same
method on the same detector, the one with more clips counts. What is in none of them has not been
measured, and the page says so. What was measured and did not surely better than every map that
knows nothing, on the same clips, is not offered.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from detectors import Detector
from explain import Explanation, methods
from explain.coalitions.pooling import passes_over
from explain.measure.baselines import TRIVIAL

HIT_RATES = Path(__file__).with_name("hit_rates")
SECONDS, BANDS = "time_swap", "band_swap"  # what was exchanged in the edits of a measurement
LIT = 0.80  # area under the ROC of edits from which on seconds are lit without being asked for
EDIT = {SECONDS: "a planted edit", BANDS: "an exchanged band of 1 kHz"}
NAMES = {
    "shapley-grids": "Shapley values on several grids",
    "shapley-time": "Shapley values by time",
    "shapley-bands": "Shapley values by band",
    "shapley-patches": "Shapley values by time and band",
    "shapley-groups": "Shapley values of voice features",
    "gradcam": "Grad-CAM",
    "guided-gradcam": "Guided Grad-CAM",
    "integrated-gradients": "Integrated gradients",
    "gradient-shap": "GradientSHAP",
    "saliency": "Saliency",
    "deeplift": "DeepLIFT",
    "occlusion": "Occlusion",
    "pieces": "Each second by itself",
    "bands-alone": "Each band by itself",
    "lime-time": "LIME by time",
    "lime-patches": "LIME by time and band",
    "shap-permutation": "SHAP's permutations, by time",
    "shap-partition": "SHAP's partitions, by time and band",
}
Rates = Mapping[str, Any]


@cache
def hit_rates(weights: str) -> Rates:
    """{method: {detector: figures}} of the runs of `python -m explain evaluate` in `hit_rates/`.

    weights: `network_fingerprint` of the detector that is asked about; what was measured with
    others says nothing of it.
    """
    runs = [json.loads(path.read_text()) for path in sorted(HIT_RATES.glob("*.json"))]
    return joined([_with(weights, run) for run in runs])


def network_fingerprint(detector: Detector) -> str:
    """Twelve hex digits of a network's weights, by which the files in `hit_rates/` know it."""
    digest = hashlib.sha256()
    for name, weight in sorted(detector.net.state_dict().items()):
        digest.update(name.encode() + weight.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _with(weights: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """A run without the detectors whose weights were others."""
    same = [name for name, own in run["weights"].items() if own == weights]
    return {
        "clips": run["clips"],
        "methods": {
            method: {name: figures for name, figures in by_detector.items() if name in same}
            for method, by_detector in run["methods"].items()
        },
    }


def joined(runs: Sequence[Mapping[str, Any]]) -> Rates:
    """{method: {detector: figures}} of several runs; of one method that with the most clips counts.

    Of equals it is the last. Figures have `trivial` beside them: {name: figures} of the maps that
    know nothing, on the same clips.
    """
    rates: dict[str, dict[str, Any]] = {}
    for run in sorted(runs, key=lambda run: run["clips"]):
        measured = run["methods"]
        for method, by_detector in measured.items():
            for name, figures in by_detector.items():
                trivial = {other: measured.get(other, {}).get(name) for other in TRIVIAL}
                rates.setdefault(method, {})[name] = {**figures, "trivial": trivial}
    return rates


def named(method: str) -> str:
    return NAMES.get(method, method)


def question(method: str, part: str, name: str) -> str:
    """What the values of a method answer about a detector, as the beginning of a sentence."""
    if method == "pieces":
        return f"What {name} makes of each second by itself"
    return f"How far each {part} moved {name}'s answer"


def adds_up(explanation: Explanation, detector: Detector) -> list[str]:
    """What the values add up to, as a sentence; none where the method does not promise a sum."""
    if not math.isfinite(explanation.residual):
        return []
    # where a voice's features are passed over or become ordinary; bands of its sound become noise
    averaged = explanation.freqs is None and passes_over(detector)
    return [
        f"They add up to the step from {'an ordinary voice' if averaged else 'noise alone'} to "
        f"this answer, with a residual of {explanation.residual:.1g}."
    ]


def offered(detector: Detector, name: str, rates: Rates) -> list[str]:
    """Methods for a detector that goes by `name`: the valid ones that beat the trivial maps."""
    return [method for method in methods(detector) if passed(method, name, rates)]


def best(
    wanted: Sequence[str],
    detector: Detector,
    name: str,
    rates: Rates,
    kind: str = SECONDS,
    least: float = 0.0,
) -> str | None:
    """Of the wanted methods that beat the trivial maps, the one that finds edits of a kind best.

    Areas are compared as they are printed, to two digits; of equals, and where nothing has been
    measured, it is the first. None if none of them reaches the area `least`.
    """
    known = methods(detector)
    areas: dict[str, float] = {}
    for method in wanted:
        if method in known and passed(method, name, rates, kind):
            own = _measured(method, name, rates, kind)
            if own is None or round(own["auc"], 2) >= least:
                areas[method] = round(own["auc"], 2) if own else 0.0
    return max(areas, key=lambda method: areas[method], default=None)


def judged_by(method: str) -> str:
    """The kind of edits on which it is decided whether a method is offered."""
    return BANDS if method in ("shapley-bands", "bands-alone") else SECONDS


def passed(method: str, name: str, rates: Rates, kind: str | None = None) -> bool:
    """Does it localise edits of a kind better than every map that knows nothing of the detector?

    Its whole 95 % interval must lie above their areas. The kind is its own (`judged_by`) by
    default. True as long as it has not been measured on more than one clip.
    """
    kind = kind or judged_by(method)
    own = _measured(method, name, rates, kind)
    if own is None or own["auc_ci"] is None:
        return True
    trivial = [_on(kind, figures) for figures in rates[method][name]["trivial"].values()]
    return all(own["auc_ci"][0] > other["auc"] for other in trivial if other)


def hit_sentence(method: str, name: str, rates: Rates, kind: str | None = None) -> str:
    """How often its strongest place lies in what was exchanged, for this detector.

    The kind of edits is the method's own (`judged_by`) by default.
    """
    kind = kind or judged_by(method)
    own = _measured(method, name, rates, kind)
    if own is None or own.get("pointing") is None:
        if name in rates.get(method, {}):
            return (
                f"{named(method)}: too few planted edits turned {name}'s verdict to say how often "
                "the highest place finds them."
            )
        return f"{named(method)}: how often it finds edits for {name} is not measured yet."
    interval = ""
    if own.get("pointing_ci"):
        low, high = (10 * end for end in own["pointing_ci"])
        interval = f" (95 % interval: {low:.0f} to {high:.0f})"
    return (
        f"{named(method)}: the highest place finds {EDIT[kind]} "
        f"{10 * own['pointing']:.0f} times in 10{interval} for {name}; pointing blindly would find "
        f"it {_times(own['chance'])}. Measured on {own['n']} edits that {name} called fake."
    )


def _times(share: float) -> str:
    count = round(10 * share)
    return "once" if count == 1 else f"{count} times"


def _measured(method: str, name: str, rates: Rates, kind: str) -> dict[str, Any] | None:
    return _on(kind, rates.get(method, {}).get(name))


def _on(kind: str, figures: Rates | None) -> dict[str, Any] | None:
    """Of a method's figures those on the edits of a kind that the detector called fake."""
    found = figures.get(kind) if figures else None
    return found if found and found.get("auc") is not None else None
