"""How far an answer moves when nothing about the voice changes: `hearsay robustness`.

Every clip of a split is scored as it is and after each of the perturbations: `SILENCES` are put
into it, and `HARMLESS` ones are what recorders, converters and editors do. All go through the
reader, as on the page. What the detectors said is not judged, only whether they say it again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from corpora.audio import leave_out
from corpora.manifest import Clip
from detectors import Detector, Waveform, read
from detectors.audio import RATE, AudioError, speech_spans
from detectors.audio.reader import decoded
from detectors.audio.silence import LONGEST_PAUSE, audible
from detectors.scoring import ScoringSession
from detectors.tables import Row, cell, table

from .intervals import mean, percentiles, resample

Samples = np.ndarray  # (n,) float32 at 16 kHz
Perturbation = Callable[[Samples, np.random.Generator], Samples | None]
FEW = 12  # clips that get minutes of silence
HISS_DB = -60.0  # of full scale
FAINT_DB = -40.0  # of the speech: hiss above it is no silence, and put in fainter
CAPTION = (
    f"|change of LLR| with 95 % intervals over speakers; hiss is at {HISS_DB:g} dBFS, or at "
    f"{FAINT_DB:g} dB of speech that is fainter than that"
)


def inserted(
    x: Samples, rng: np.random.Generator, what: str, where: str, seconds: float
) -> Samples | None:
    """Samples (n,) with silence put in.

    Args:
        what: "zeros" or "hiss".
        where: "before", "after" or "between", in the middle of the longest pause.

    Returns:
        None where no pause is as long as those between sentences.
    """
    silence = np.zeros(round(seconds * RATE), np.float32)
    if what == "hiss":
        kept = np.concatenate([x[start:end] for start, end in audible(x)])
        speech = float(np.sqrt(np.mean(kept**2)))
        size = min(10 ** (HISS_DB / 20), speech * 10 ** (FAINT_DB / 20))
        silence += size * rng.standard_normal(len(silence), dtype=np.float32)
    place = {"before": 0, "after": len(x)}.get(where)
    if place is None:
        pauses = [(b[0] - a[1], (a[1] + b[0]) / 2) for a, b in pairwise(speech_spans(x))]
        if not pauses or max(pauses)[0] * RATE <= LONGEST_PAUSE:
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


def _bits(x: Samples, bits: int) -> Samples:
    steps = np.float32(2 ** (bits - 1) - 1)
    return np.round(x * steps) / steps


def _dithered(x: Samples, rng: np.random.Generator) -> Samples:
    """Triangular dither of two steps of 16 bits, as when a file is saved again."""
    noise = rng.triangular(-1, 0, 1, len(x)).astype(np.float32)
    return _bits(x + noise / np.float32(32767), 16)


def _resampled(x: Samples, rate: int) -> Samples:
    return soxr.resample(soxr.resample(x, RATE, rate), rate, RATE)


SILENCES: dict[str, Perturbation] = _silences((8, 25))
LONG_SILENCES: dict[str, Perturbation] = _silences((600,))  # into a few clips
HARMLESS: dict[str, Perturbation] = {
    "begins 5 ms later": lambda x, rng: x[RATE // 200 :],
    "by way of 22.05 kHz": lambda x, rng: _resampled(x, 22_050),
    "by way of 44.1 kHz": lambda x, rng: _resampled(x, 44_100),
    "8 bits": lambda x, rng: _bits(x, 8),
    "40 dB fainter, 16 bits": lambda x, rng: _bits(x / 100, 16),
    "offset of 0.002": lambda x, rng: x + np.float32(0.002),
    "dither": _dithered,
}


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
        try:
            samples, _ = decoded(clip.path)
        except AudioError as error:
            leave_out(clip, error, {})
            continue
        wave = _heard(samples)
        scores = {"as it is": _scores(wave, detectors)}
        here = dict(perturbations) | (dict(long or {}) if i < FEW else {})
        for name, change in here.items():
            rng = np.random.default_rng(zlib.crc32(f"{name} {clip.id}".encode()))
            changed = change(samples, rng)
            if changed is not None:
                again = _heard(changed)
                alike = np.array_equal(again.samples, wave.samples)  # so are the answers
                scores[name] = scores["as it is"] if alike else _scores(again, detectors)
        for name, by_model in scores.items():
            for model, value in by_model.items():
                llr[name][model][i] = value
    return llr


def _heard(samples: Samples) -> Waveform:
    return read((RATE, samples), require_speech=False)


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
                    "version": detector.digest[:12],
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
    return f"{CAPTION}\n\n{table(head, lines)}"
