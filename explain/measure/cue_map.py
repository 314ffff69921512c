"""Cue map: where detectors find evidence, by place in time, by band or feature, per generator.

    python -m explain corpus --manifest corpus.csv --split test --by system --json cue_map.json

Each clip is explained, and its evidence is summed by place in time (relative to the clip's edges,
to speech and its onsets, and to pauses), by kHz band, or by the names that the method gives. Over
the clips of a generator, for each such place:

- importance: mean |evidence|, in logits, added up over the place's moments whatever their sign.
- trust: signed agreement with the label, -1 to 1: sum(y * evidence) / sum(|evidence|), y = 1 for
  spoof and -1 for bona fide. What is important and not trusted misleads.
- contribution: the place's share of all |evidence| over its share of the seconds (or Hz), which is
  its extent; 1 is what a detector that attends everywhere alike would have (Liu et al. 2024,
  arXiv 2406.02483, RCQ).

A place is known as finely as the method's windows are, half a second by default: an edge of a tenth
has the value of the window that it lies in. Intervals are 95 %, by bootstrap over clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.audio import leave_out
from corpora.manifest import Clip, corpus_hash
from detectors import AudioError, Waveform, read
from detectors.audio import RATE, speech_spans
from detectors.detector import Detector
from detectors.tables import Column, Row, pivot
from evaluation.intervals import percentiles, resample

from .. import METHODS, explain, methods
from ..explanation import ExplainError, Explanation
from .localisation import relevance

BY = ("system", "family", "source")
EDGE_S = 0.1  # of the clip: where a cut, a fade or an encoder's padding shows
ONSET_S = 0.2  # after each beginning of speech
STEP_S = 0.01
BAND_EDGES = np.linspace(0, RATE / 2, 9)
BANDS = tuple(f"{k} to {k + 1} kHz" for k in range(8))
PLACES = ("edge", "leading silence", "onset", "speech", "pause", "trailing silence")


@dataclass(frozen=True, eq=False)
class PlacedEvidence:
    """Evidence of one clip along one axis.

    Attributes:
        axis: "time", "frequency" or "group".
        places: Names of k places.
        evidence: (k,) in logits, + = towards spoof.
        strength: (k,) its size, added up whatever the sign.
        extent: (k,) seconds, Hz or number of each place.
    """

    axis: str
    places: tuple[str, ...]
    evidence: np.ndarray
    strength: np.ndarray
    extent: np.ndarray


def cue_map(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    by: str = "system",
    chosen: Sequence[str] = (),
) -> dict[str, Any]:
    """Explain every clip by every detector and method, and sum up by generator.

    Clips that cannot be read or hold no speech are skipped, and named on stderr.

    Args:
        by: "system", "family" or "source".
        chosen: Methods; those with `in_cue_map` that are valid for a detector if empty.

    Returns:
        {by, clips, skipped, left_out: {id: reason}, corpus_hash, rows}, ready for JSON. A row is
        {detector, method, axis, generator, condition: the place, metric, value, low, high, n}; the
        generator "all" is every clip.

    Raises:
        ExplainError: A method explains none of the detectors, or no clip is left.
    """
    named = {name: _methods(detector, chosen) for name, detector in detectors.items()}
    unused = [method for method in chosen if not any(method in own for own in named.values())]
    if unused:
        raise ExplainError(f"'{unused[0]}' explains none of {', '.join(detectors)}.")
    found: dict[tuple[str, str, str], list[tuple[Clip, PlacedEvidence]]] = defaultdict(list)
    left_out: dict[str, str] = {}
    for clip in tqdm(clips, desc="explaining", unit="clip", mininterval=1):
        try:
            wave = read(clip.path)
        except AudioError as error:
            leave_out(clip, error, left_out)
            continue
        spans = speech_spans(wave.samples)
        for name, detector in detectors.items():
            for method in named[name]:
                for evidence in by_place(explain(detector, wave, method), wave, spans):
                    found[name, method, evidence.axis].append((clip, evidence))
    if not found:
        raise ExplainError(f"None of the {len(clips)} clips can be read and holds speech.")
    return {
        "by": by,
        "clips": len(clips),
        "skipped": len(left_out),
        "left_out": left_out,
        "corpus_hash": corpus_hash(clips),
        "rows": [
            {"detector": name, "method": method, "axis": axis, **row}
            for (name, method, axis), own in found.items()
            for row in by_generator(own, by)
        ],
    }


def _methods(detector: Detector, chosen: Sequence[str]) -> list[str]:
    wanted = chosen or [method.name for method in METHODS.values() if method.in_cue_map]
    return [method for method in methods(detector) if method in wanted]


def by_place(
    explanation: Explanation, wave: Waveform, spans: Sequence[tuple[float, float]]
) -> list[PlacedEvidence]:
    """An explanation's evidence by place, one for each axis that it has.

    spans: where speech is, (start, end) in seconds of the clip, see `audio.speech_spans`.
    """
    made = []
    if explanation.times is not None:
        start, end = float(explanation.times[0]), float(explanation.times[-1])
        grid = np.append(np.arange(start, end - STEP_S / 2, STEP_S), end)
        by_time = relevance(explanation, "time", grid)
        assert by_time is not None
        place = places((grid[:-1] + grid[1:]) / 2, wave.facts.seconds, spans)
        parts = [
            np.bincount(place, weights=values, minlength=len(PLACES))
            for values in (by_time, np.abs(by_time), np.diff(grid))
        ]
        made.append(PlacedEvidence("time", PLACES, *parts))
    by_band = relevance(explanation, "band", BAND_EDGES)
    if by_band is not None:
        heights = np.diff(BAND_EDGES)
        made.append(PlacedEvidence("frequency", BANDS, by_band, np.abs(by_band), heights))
    elif explanation.names:
        values = np.asarray(explanation.values, dtype=np.float64)
        size = np.abs(values)
        made.append(PlacedEvidence("group", explanation.names, values, size, np.ones(len(size))))
    return made


def places(seconds: np.ndarray, length: float, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """Index into `PLACES` of each moment (n,) in a clip of `length` seconds.

    An edge is an edge whatever is heard there; then come silence before, between and after the
    speech, and of the speech the first `ONSET_S` of each span are its onset.
    """
    starts, ends = np.array(spans, dtype=np.float64).reshape(-1, 2).T
    if not len(starts):
        raise ExplainError("No speech was found in the clip, so nothing is before or after it.")
    span = np.searchsorted(starts, seconds, side="right") - 1  # the one that began last
    spoken = (span >= 0) & (seconds < ends[span])
    place = np.full(len(seconds), PLACES.index("pause"))
    place[spoken] = PLACES.index("speech")
    place[spoken & (seconds < starts[span] + ONSET_S)] = PLACES.index("onset")
    place[seconds < starts[0]] = PLACES.index("leading silence")
    place[seconds >= ends[-1]] = PLACES.index("trailing silence")
    place[(seconds < EDGE_S) | (seconds >= length - EDGE_S)] = PLACES.index("edge")
    return place


def by_generator(found: Sequence[tuple[Clip, PlacedEvidence]], by: str) -> Iterator[Row]:
    """Rows {generator, condition, metric, ...} of all clips together, then of each generator."""
    groups: dict[str, list[tuple[Clip, PlacedEvidence]]] = {"all": list(found)}
    for clip, evidence in found:
        groups.setdefault(getattr(clip, by) or "unnamed", []).append((clip, evidence))
    for name in ["all", *sorted(groups.keys() - {"all"})]:
        for row in _rows(groups[name]):
            yield {"generator": name, **row, "n": len(groups[name])}


def _rows(found: Sequence[tuple[Clip, PlacedEvidence]]) -> Iterator[Row]:
    """The figures of each place; of one that no clip has, its extent of 0 alone."""
    sign = np.array([1.0 if clip.is_spoof else -1.0 for clip, _ in found])
    evidence = np.stack([one.evidence for _, one in found])  # (clips, places)
    strength = np.stack([one.strength for _, one in found])
    extent = np.stack([one.extent for _, one in found]).sum(axis=0)
    extent /= extent.sum()
    times = resample([str(i) for i in range(len(found))])
    importance, trust = _importance_and_trust(np.ones((1, len(found))), evidence, strength, sign)
    importance_ends, trust_ends = map(
        percentiles, _importance_and_trust(times, evidence, strength, sign)
    )
    share = importance[0] / max(float(importance.sum()), 1e-12)
    for i, place in enumerate(found[0][1].places):
        figures: dict[str, tuple[float, ...]] = {"extent": (extent[i],)}
        if extent[i] > 0:
            figures["importance"] = (importance[0, i], *importance_ends[:, i])
            figures["contribution"] = (share[i] / extent[i],)
        if importance[0, i] > 0:
            figures["trust"] = (trust[0, i], *trust_ends[:, i])
        for metric, (value, *ends) in figures.items():
            low, high = map(float, ends) if ends else (None, None)
            names = {"condition": place, "metric": metric}
            yield {**names, "value": float(value), "low": low, "high": high}


def _importance_and_trust(
    times: np.ndarray, evidence: np.ndarray, strength: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as (rounds, places), from how often each clip counts in each round, (rounds, clips)."""
    importance = times @ strength / len(sign)
    agreement = times @ (sign[:, None] * evidence) / len(sign)
    trust = np.zeros_like(importance)
    np.divide(agreement, importance, out=trust, where=importance > 0)
    return importance, trust


def maps(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each detector, method and axis, under a title."""
    for (name, method, axis), own in groupby(
        rows, key=lambda row: (row["detector"], row["method"], row["axis"])
    ):
        yield f"{name}, {method}, {axis}", list(own)


def markdown(result: Mapping[str, Any]) -> str:
    """A table for each detector, method and axis: a line a generator, with its number of clips."""
    skipped = f"{result['skipped']} without speech or unreadable"
    parts = [f"{result['clips']} clips by {result['by']}, {skipped}."]
    parts.append("Importance (mean |evidence| in logits) and, after it, trust from -1 to 1.")
    for title, rows in maps(result["rows"]):
        lines = [{**row, "generator": f"{row['generator']} ({row['n']})"} for row in rows]
        columns = [
            column
            for place in dict.fromkeys(row["condition"] for row in rows)
            for column in (
                Column(place, "importance", place), Column("trust", "trust", place, "+.2f"),
            )
        ]  # fmt: skip
        parts += [f"**{title}**", pivot(lines, "generator", columns)]
    return "\n\n".join(parts)
