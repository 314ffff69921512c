"""How often each method of explanation was right about a detector, as far as it was measured.

    hit_rate(load("cnn"), "shapley-time")     # HitRate(auc=0.75, ..., pointing=0.81, ..., n=104)

`measured/` holds one JSON file a detector, written by `hearsay evaluate-explanations --out`.
Figures belong to a detector's digest, whatever name it goes by: a retrained one has not been
measured. Each figure is [value, low, high, n] under "condition/metric", with its 95 % interval and
what it is a mean over. Real recordings were spliced with vocoded copies of themselves, and a method
is right where it is higher inside the splice ("time", of seconds; "band", of 1 kHz) than outside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from detectors.detector import Detector

from . import methods
from .catalog import FREQUENCY, METHODS, unasked

MEASURED = Path(__file__).with_name("measured")
TIME, BAND = "time", "band"
BASELINE = "auc of "  # begins the names of figures of the maps that know nothing of the detector


@dataclass(frozen=True)
class HitRate:
    """How well a method finds the splices of one axis that one detector called fake.

    Attributes:
        auc: Localisation AUC, 0.5 for a map that knows nothing, with its interval.
        pointing: Share of the splices in which the highest place lies, with its interval.
        chance: That share for pointing blindly.
        n: Splices.
        dev_auc: The AUC on other recordings, which methods are chosen by so that those that are
            quoted have no part in it; None where it was not measured there.
        baseline_auc: Best AUC on the same splices of a map that knows nothing of the detector;
            None where none was measured.

    Intervals are 95 %, and None where too few clips were measured for one.
    """

    auc: float
    auc_interval: tuple[float, float] | None
    pointing: float | None
    pointing_interval: tuple[float, float] | None
    chance: float | None
    n: int
    dev_auc: float | None
    baseline_auc: float | None

    @property
    def beats_baselines(self) -> bool:
        """Does the whole interval, where there is one, lie above the maps that know nothing?"""
        if self.auc_interval is None or self.baseline_auc is None:
            return True
        return self.auc_interval[0] > self.baseline_auc


def figures(detector: Detector) -> dict[str, dict[str, Any]]:
    """{method: {"condition/metric": [value, low, high, n]}} of a detector; {} if unmeasured."""
    measured: dict[str, dict[str, Any]] = _tables(MEASURED).get(detector.digest, {})
    return measured


def was_measured(detector: Detector, method: str) -> bool:
    return method in figures(detector)


def hit_rate(detector: Detector, method: str, axis: str | None = None) -> HitRate | None:
    """How often a method is right about a detector.

    Args:
        axis: "time" or "band", what was exchanged; the method's own (`own_axis`) by default.

    Returns:
        None where it was not measured, or no splice turned the detector's verdict.
    """
    axis = axis or own_axis(method)
    own = figures(detector).get(method, {})
    if f"{axis}/auc" not in own:
        return None
    auc, *auc_interval, n = own[f"{axis}/auc"]
    pointing, *pointing_interval, _ = own.get(f"{axis}/pointing", [None] * 4)
    baselines = [own[name][0] for name in own if name.startswith(f"{axis}/{BASELINE}")]
    return HitRate(
        auc=auc,
        auc_interval=_interval(auc_interval),
        pointing=pointing,
        pointing_interval=_interval(pointing_interval),
        chance=own.get(f"{axis}/chance", [None])[0],
        n=n,
        dev_auc=own.get(f"{axis}/auc on dev", [None])[0],
        baseline_auc=max(baselines, default=None),
    )


def own_axis(method: str) -> str:
    """The axis on which it is decided whether a method is offered."""
    return BAND if METHODS[method].axis == FREQUENCY else TIME


def beats_baselines(detector: Detector, method: str, axis: str | None = None) -> bool:
    """Is it surely better than every map that knows nothing of the detector, or unmeasured?"""
    rate = hit_rate(detector, method, axis)
    return rate is None or rate.beats_baselines


def offered(detector: Detector) -> list[str]:
    """The methods that are valid for a detector and beat the maps that know nothing of it."""
    return [method for method in methods(detector) if beats_baselines(detector, method)]


def best(
    detector: Detector, wanted: Sequence[str], axis: str = TIME, least: float = 0.0
) -> str | None:
    """Of the wanted methods that beat the baselines, the one that finds splices of an axis best.

    AUCs are compared as they are printed, to two digits, and those on dev where there are any; of
    equals, and where nothing has been measured, it is the first. None if none of them reaches the
    AUC `least`.
    """
    known = methods(detector)
    rates = {name: hit_rate(detector, name, axis) for name in wanted if name in known}
    on_dev = any(rate and rate.dev_auc is not None for rate in rates.values())

    def rank(method: str) -> float:
        rate = rates[method]
        auc = rate and (rate.dev_auc if on_dev else rate.auc)
        return round(auc or 0.0, 2)

    good = [
        name
        for name, rate in rates.items()
        if rate is None or (rate.beats_baselines and round(rate.auc, 2) >= least)
    ]
    return max(good, key=rank, default=None)


def default_method(detector: Detector) -> str:
    """The method by time that a detector is explained by where nobody asks for another."""
    return best(detector, unasked(TIME)) or unasked(TIME)[0]


@cache
def _tables(folder: Path) -> dict[str, Any]:
    """{digest: {method: figures}} of the files in a folder."""
    tables = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return {table["digest"]: table["methods"] for table in tables}


def _interval(ends: Sequence[float | None]) -> tuple[float, float] | None:
    low, high = ends
    return None if low is None or high is None else (low, high)
