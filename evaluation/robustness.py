"""How far an answer moves when nothing about the voice changes: `hearsay robustness`.

Every clip of a split is scored as it is and after each of `PERTURBATIONS`, through the reader, as
the page would hear it. What the detectors said is not judged here, only whether they say it again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corpora.audio import read_clip
from corpora.manifest import Clip
from detectors import Detector, Waveform, read
from detectors.audio import RATE, speech_spans
from detectors.scoring import ScoringSession
from detectors.tables import Row, cell, table

from .intervals import mean, percentiles, resample

Samples = NDArray[np.float32]
Perturbation = Callable[[Samples, np.random.Generator], Samples | None]
HISS_DB = -60.0  # of full scale
FEW = 12  # clips that get minutes of silence


def inserted(
    x: Samples, rng: np.random.Generator, what: str, where: str, seconds: float
) -> Samples | None:
    """Samples (n,) with silence put in.

    Args:
        what: "zeros" or "hiss".
        where: "before", "after" or "between", in the middle of the longest pause.

    Returns:
        None where there is no pause.
    """
    silence = np.zeros(round(seconds * RATE), np.float32)
    if what == "hiss":
        silence += (10 ** (HISS_DB / 20) * rng.standard_normal(len(silence))).astype(np.float32)
    place = {"before": 0, "after": len(x)}.get(where)
    if place is None:
        spans = speech_spans(x)
        pauses = [(b[0] - a[1], (a[1] + b[0]) / 2) for a, b in pairwise(spans)]
        if not pauses:
            return None
        place = round(max(pauses)[1] * RATE)
    return np.concatenate([x[:place], silence, x[place:]])


def _silences(seconds: Sequence[float]) -> dict[str, Perturbation]:
    return {
        f"{long:g} s of {what} {where}": partial(inserted, what=what, where=where, seconds=long)
        for long in seconds
        for what in ("zeros", "hiss")
        for where in ("before", "between", "after")
    }


PERTURBATIONS: dict[str, Perturbation] = _silences((8, 25))
LONG: dict[str, Perturbation] = _silences((600,))  # of a few clips


def changes(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    perturbations: Mapping[str, Perturbation],
    long: Mapping[str, Perturbation] | None = None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """LLRs under "as it is" and each perturbation: {perturbation: {detector: (n,)}}.

    NaN where a clip cannot be read or be changed so. long: Perturbations of the first FEW clips.
    """
    names = ["as it is", *perturbations, *(long or {})]
    llr = {name: {d: np.full(len(clips), np.nan) for d in detectors} for name in names}
    for i, clip in enumerate(tqdm(clips, desc="robustness", unit="clip", mininterval=5)):
        wave = read_clip(clip, {})
        if wave is None:
            continue
        samples = wave.whole()
        known = _scores(wave, detectors)
        here = dict(perturbations) | (dict(long or {}) if i < FEW else {})
        for name in ["as it is", *here]:
            scores = known
            if name in here:
                rng = np.random.default_rng(zlib.crc32(f"{name} {clip.id}".encode()))
                changed = here[name](samples, rng)
                if changed is None:
                    continue
                again = read((RATE, changed), require_speech=False)
                if not np.array_equal(again.samples, wave.samples):  # else nothing is to be heard
                    scores = _scores(again, detectors)
            for model, value in scores.items():
                llr[name][model][i] = value
    return llr


def _scores(wave: Waveform, detectors: Mapping[str, Detector]) -> dict[str, float]:
    session = ScoringSession(wave)
    return {name: session.score(detector).llr for name, detector in detectors.items()}


def measure_changes(
    clips: Sequence[Clip],
    llr: Mapping[str, Mapping[str, NDArray[np.float64]]],
    detectors: Mapping[str, Detector],
) -> list[Row]:
    """A flat row a perturbation and detector.

    value, low, high: median of |change of LLR| with its 95 % interval over speakers; p90; max;
    turned: share of clips with another verdict, and its interval turned_ci; n: clips.
    """
    rows = []
    for name in [name for name in llr if name != "as it is"]:
        for model, detector in detectors.items():
            before, after = llr["as it is"][model], llr[name][model]
            there = np.flatnonzero(np.isfinite(before) & np.isfinite(after)).tolist()
            if not there:
                continue
            change = np.abs(after - before)[there]
            speakers = [clips[i].speaker for i in there]
            times = resample(speakers)
            low, high = percentiles([np.median(np.repeat(change, k)) for k in times]).tolist()
            verdict = detector.config.calibration.verdict
            turned = [float(verdict(before[i]) != verdict(after[i])) for i in there]
            share = mean(turned, speakers)
            rows.append(
                {
                    "perturbation": name,
                    "model": model,
                    "value": float(np.median(change)),
                    "low": low,
                    "high": high,
                    "p90": float(np.quantile(change, 0.9)),
                    "max": float(change.max()),
                    "turned": share["value"],
                    "turned_ci": [share["low"], share["high"]],
                    "n": len(there),
                }
            )
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    head = ["", "detector", "median", "90 %", "max", "verdicts turned, %", "clips"]
    lines = [
        [
            row["perturbation"],
            row["model"],
            cell(row["value"], [row["low"], row["high"]]),
            cell(row["p90"]),
            cell(row["max"]),
            cell(row["turned"], row["turned_ci"], ".1%"),
            str(row["n"]),
        ]
        for row in rows
    ]
    return "|change of LLR| with 95 % intervals over speakers\n\n" + table(head, lines)
