"""Explanation: what a method says about one clip and one detector, and how sure it may be."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.errors import HearsayError

if TYPE_CHECKING:
    from detectors.detector import Detector

ARRAYS = ("values", "times", "freqs", "stderr")
FAINT = 0.12  # share of the strongest segment below which another says nothing


class ExplainError(HearsayError):
    """An explanation that cannot be made; its message is one sentence for users."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """Evidence by time, frequency, both, or by name; positive = towards fake.

    Attributes:
        method, detector: Their names; `explain.explain` fills them in.
        values: (t,), (f,) or (f, t).
        times: (t + 1,) edges in seconds of the clip.
        freqs: (f + 1,) edges in Hz, rising.
        unit: Of values and scores: "logit", or "LLR" after `in_llr`.
        full, empty: The score with everything and with nothing of the clip; empty is NaN where the
            method does not ask for it.
        residual: |sum(values) - (full - empty)| where the method promises that it is zero; NaN
            where it makes no such promise.
        stderr: Of each value; None where nothing is drawn.
        forwards: Passes through the network.
        seconds: Wall time.
        peak_mb: Highest resident memory of the process.
        notes: What a reader should know, in sentences.
        names: What each value belongs to, in words, where there is no time axis: values (names,).
    """

    method: str = ""
    detector: str = ""
    values: np.ndarray
    times: np.ndarray | None = None
    freqs: np.ndarray | None = None
    full: float
    empty: float = math.nan
    residual: float = math.nan
    stderr: np.ndarray | None = None
    forwards: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    unit: Literal["logit", "LLR"] = "logit"

    def to_json(self) -> str:
        """All fields as one JSON object: arrays as nested lists, NaN as null."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return json.dumps(fields, indent=2, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Explanation:
        """Read `to_json`'s text; ExplainError when it is something else."""
        try:
            raw = json.loads(text)
            for name in ARRAYS:
                raw[name] = None if raw[name] is None else np.asarray(raw[name], dtype=np.float64)
            for name in ("full", "empty", "residual"):
                raw[name] = math.nan if raw[name] is None else float(raw[name])
            lists = {name: tuple(raw[name]) for name in ("notes", "names")}
            return Explanation(**{**raw, **lists})
        except (KeyError, TypeError, ValueError) as error:
            raise ExplainError(f"This is no explanation written by to_json: {error}.") from error


def in_llr(explanation: Explanation, detector: Detector) -> Explanation:
    """The explanation in units of the LLR that the detector gives a window (`Window.llr`).

    That of a clip is, besides, weighed by how much speech is in it (`Calibration.firmness`).
    """
    scale, offset = detector.config.calibration.scale, detector.config.calibration.offset
    return dataclasses.replace(
        explanation,
        values=scale * explanation.values,
        full=scale * explanation.full + offset,
        empty=scale * explanation.empty + offset,
        residual=scale * explanation.residual,
        stderr=None if explanation.stderr is None else scale * explanation.stderr,
        unit="LLR",
    )


def over_time(explanation: Explanation) -> tuple[np.ndarray, np.ndarray]:
    """Evidence by time alone: values (t,) and edges (t + 1,) in seconds.

    A map over time and frequency is summed over frequency and into eight equal segments.
    ExplainError when the explanation has no time axis.
    """
    values, edges = explanation.values, explanation.times
    if edges is None:
        raise ExplainError(f"An explanation by {explanation.method} has no time axis.")
    if values.ndim == 1:
        return values, edges
    eighths = np.linspace(edges[0], edges[-1], 9)
    return rebin(values.sum(axis=0), edges, eighths), eighths


def rebin(values: ArrayLike, edges: ArrayLike, grid: ArrayLike) -> NDArray[np.float64]:
    """Values (t,) between edges (t + 1,), spread evenly within each, summed into grid (n + 1,).

    What lies on the grid keeps its sum; cells that the edges do not reach get 0.
    """
    values, edges = np.asarray(values, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    grid = np.asarray(grid, dtype=np.float64)
    cells = np.diff(np.interp(grid, edges, np.append(0, np.cumsum(values))))
    unit = max(float(np.abs(values).sum()), 1e-300)
    return np.round(cells / unit, 12) * unit  # the cells of one value stay equal: ties are counted


def decisive_seconds(explanation: Explanation, count: int = 3) -> list[tuple[float, float, float]]:
    """The `count` strongest segments, strongest first: (start_s, end_s, value in logit units).

    Neighbours on one side that each have at least half the strongest value are one segment; those
    that are faint beside the first are left out. See `over_time`, which also raises.
    """
    values, edges = over_time(explanation)
    strong = np.abs(values) >= np.abs(values).max() / 2
    alike = strong[1:] & strong[:-1] & (np.sign(values[1:]) == np.sign(values[:-1]))
    first = np.flatnonzero(np.append(True, ~alike))
    sums, ends = np.add.reduceat(values, first), np.append(first[1:], len(values))
    order = np.argsort(-np.abs(sums), kind="stable")[:count]
    order = order[np.abs(sums[order]) >= FAINT * np.abs(sums[order[0]])]
    return [(float(edges[first[i]]), float(edges[ends[i]]), float(sums[i])) for i in order]


def by_size(explanation: Explanation) -> list[tuple[str, float]]:
    """The named values of an explanation, the largest first whatever its sign."""
    order = np.argsort(-np.abs(explanation.values), kind="stable")
    return [(explanation.names[i], float(explanation.values[i])) for i in order]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
