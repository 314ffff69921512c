"""Where detectors look: evidence by place in time, by band and by feature group, per generator.

    python -m explain corpus --manifest corpus.csv --split test --by system --json looks.json

Each clip is explained, and its evidence is summed by place in time (relative to the clip's edges,
to speech and its onsets, and to pauses), by kHz band, or by the names that the method gives. Over
the clips of a generator, for each such place:

- importance: mean |evidence|, in logits, added up over the place's moments whatever their sign.
- trust: signed agreement with the label, -1 to 1: sum(y * evidence) / sum(|evidence|), y = 1 for
  spoof and -1 for bona fide. What is important and not trusted misleads.
- contribution: the place's share of all |evidence| over its share of the seconds (or Hz); 1 is what
  a detector that looks everywhere alike would have (Liu et al. 2024, arXiv 2406.02483, RCQ).

A place is known as finely as the method's windows are, half a second by default: an edge of a tenth
has the value of the window that it lies in.

Intervals are 95 %, by bootstrap over clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.manifest import Clip, corpus_hash
from detectors import AudioError, Waveform, read
from detectors.audio import RATE, speech_spans
from detectors.detector import Detector
from evaluation.markdown import table

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
ROUNDS = 1000


@dataclass(frozen=True, eq=False)
class Look:
    """Evidence (k,) of one clip by place, its size in either sign, and the extents of places."""

    axis: str  # "time", "frequency" or "group"
    places: tuple[str, ...]
    evidence: np.ndarray
    strength: np.ndarray
    extent: np.ndarray


def corpus(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    by: str = "system",
    chosen: Sequence[str] = (),
) -> dict[str, Any]:
    """Explain every clip by every detector and method, and sum up by generator.

    by: "system", "family" or "source". chosen: methods; those with `in_cue_map` that are valid for
    a detector if empty. Returns {by, clips, skipped, corpus_hash, detectors: {name: {method: {axis:
    {generator: {n, places: {place: {importance, importance_ci, trust, trust_ci, contribution,
    extent}}}}}}}}, ready for JSON; axes are time, frequency and group, and the generator "all" is
    every clip. Clips that cannot be read or hold no speech are skipped. Raises ExplainError for a
    method that explains none of the detectors, and when no clip is left.
    """
    named = {name: _methods(detector, chosen) for name, detector in detectors.items()}
    unused = [method for method in chosen if not any(method in own for own in named.values())]
    if unused:
        raise ExplainError(f"'{unused[0]}' explains none of {', '.join(detectors)}.")
    looks: dict[tuple[str, str, str], list[tuple[Clip, Look]]] = defaultdict(list)
    skipped = 0
    for clip in tqdm(clips, desc="explaining", unit="clip", mininterval=1):
        try:
            wave = read(clip.path)
        except AudioError:
            skipped += 1
            continue
        spans = speech_spans(wave.samples)
        for name, detector in detectors.items():
            for method in named[name]:
                for look in look_at(explain(detector, wave, method), wave, spans):
                    looks[name, method, look.axis].append((clip, look))
    if not looks:
        raise ExplainError(f"None of the {len(clips)} clips can be read and holds speech.")
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, method, axis), own in looks.items():
        made.setdefault(name, {}).setdefault(method, {})[axis] = _by_generator(own, by)
    return {
        "by": by,
        "clips": len(clips),
        "skipped": skipped,
        "corpus_hash": corpus_hash(clips),
        "detectors": made,
    }


def _methods(detector: Detector, chosen: Sequence[str]) -> list[str]:
    wanted = chosen or [method.name for method in METHODS.values() if method.in_cue_map]
    return [method for method in methods(detector) if method in wanted]


def look_at(
    explanation: Explanation, wave: Waveform, spans: Sequence[tuple[float, float]]
) -> list[Look]:
    """An explanation's evidence by place, one Look for each axis that it has.

    spans: where speech is, (start, end) in seconds of the clip, see `audio.speech_spans`.
    """
    looks = []
    if explanation.times is not None:
        start, end = float(explanation.times[0]), float(explanation.times[-1])
        grid = np.append(np.arange(start, end - STEP_S / 2, STEP_S), end)
        by_time = relevance(explanation, "time", grid)
        assert by_time is not None
        place = places((grid[:-1] + grid[1:]) / 2, wave.facts.seconds, spans)
        parts = _summed(place, len(PLACES), by_time, np.abs(by_time), np.diff(grid))
        looks.append(Look("time", PLACES, *parts))
    by_band = relevance(explanation, "band", BAND_EDGES)
    if by_band is not None:
        looks.append(Look("frequency", BANDS, by_band, np.abs(by_band), np.diff(BAND_EDGES)))
    elif explanation.names:
        values = np.asarray(explanation.values, dtype=np.float64)
        looks.append(Look("group", explanation.names, values, np.abs(values), np.ones(len(values))))
    return looks


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


def _summed(place: np.ndarray, count: int, *values: np.ndarray) -> list[np.ndarray]:
    return [np.bincount(place, weights=v, minlength=count) for v in values]


def _by_generator(looks: Sequence[tuple[Clip, Look]], by: str) -> dict[str, Any]:
    groups: dict[str, list[tuple[Clip, Look]]] = {"all": list(looks)}
    for clip, look in looks:
        groups.setdefault(getattr(clip, by) or "unnamed", []).append((clip, look))
    return {name: _figures(groups[name]) for name in ["all", *sorted(groups.keys() - {"all"})]}


def _figures(looks: Sequence[tuple[Clip, Look]]) -> dict[str, Any]:
    sign = np.array([1.0 if clip.is_spoof else -1.0 for clip, _ in looks])
    evidence = np.stack([look.evidence for _, look in looks])  # (clips, places)
    strength = np.stack([look.strength for _, look in looks])
    extent = np.stack([look.extent for _, look in looks]).sum(axis=0)
    extent /= extent.sum()
    n = len(looks)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), ROUNDS)  # how often each
    importance, trust = _importance_and_trust(np.full((1, n), 1), evidence, strength, sign)
    again = _importance_and_trust(drawn, evidence, strength, sign)
    intervals = [np.quantile(values, [0.025, 0.975], axis=0) for values in again]
    share = importance[0] / max(float(importance.sum()), 1e-12)
    made = {}
    for i, place in enumerate(looks[0][1].places):
        there = extent[i] > 0
        made[place] = {
            "importance": float(importance[0, i]) if there else None,
            "importance_ci": intervals[0][:, i].tolist() if there else None,
            "trust": float(trust[0, i]) if importance[0, i] > 0 else None,
            "trust_ci": intervals[1][:, i].tolist() if importance[0, i] > 0 else None,
            "contribution": float(share[i] / extent[i]) if there else None,
            "extent": float(extent[i]),
        }
    return {"n": len(looks), "places": made}


def _importance_and_trust(
    times: np.ndarray, evidence: np.ndarray, strength: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as (rounds, places), from how often each clip counts in each round, (rounds, clips)."""
    importance = times @ strength / len(sign)
    agreement = times @ (sign[:, None] * evidence) / len(sign)
    trust = np.zeros_like(importance)
    np.divide(agreement, importance, out=trust, where=importance > 0)
    return importance, trust


def markdown(result: Mapping[str, Any]) -> str:
    """A table for each detector, method and axis: importance and trust of each place, a row a
    generator."""
    parts = [f"{result['clips']} clips by {result['by']}, {result['skipped']} without speech."]
    parts.append("Importance (mean |evidence| in logits) and, after it, trust from -1 to 1.")
    for name, method, axis, groups in axes(result):
        names = list(groups["all"]["places"])
        rows = [
            [group, str(own["n"]), *(_cell(own["places"][place]) for place in names)]
            for group, own in groups.items()
        ]
        parts += [f"**{name}, {method}, {axis}**", table([result["by"], "n", *names], rows)]
    return "\n\n".join(parts)


def axes(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Detector, method, axis and {generator: figures} of all that `corpus` measured."""
    for name, by_method in result["detectors"].items():
        for method, by_axis in by_method.items():
            for axis, groups in by_axis.items():
                yield name, method, axis, groups


def _cell(figures: Mapping[str, Any]) -> str:
    if figures["importance"] is None:
        return "-"
    trust = "" if figures["trust"] is None else f", {figures['trust']:+.2f}"
    return f"{figures['importance']:.2f}{trust}"
