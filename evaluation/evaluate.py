"""Detectors against a labelled manifest: error rates with intervals, and what dumb cues would get.

    result = evaluate(Path("manifest.csv"), "test", {"cnn": load("cnn")})
    print(tables.markdown(result))

What each figure means:

- pooled: all clips. same_source: the bona fide clips of sources that also hold spoofs against the
  spoofs of those sources, where room, channel and storage give nothing away.
- at_dev_threshold: decisions at the threshold that was stored with the detector (chosen on dev).
- verdicts: how many clips of each label get which of the page's three verdicts, at even odds.
- eer is the field's, of the stepped ROC; eer_hull that of its convex hull.
- by_language: English, other languages, unknown, clips of both labels.
- by_family, by_system, by_year (of the system): those spoofs against the bona fide clips of their
  own sources where there are at least ENOUGH of these, else against all bona fide clips; "against"
  says which.
- shortcuts: the AUC that one property of the audio reaches alone, in the better direction, hence
  0.5 to 1.
- clips, spoof and bonafide count what a figure was computed from. Intervals are 95 %, by bootstrap
  over speakers. A figure from fewer than FEWEST clips of a label, or an interval from fewer than
  intervals.FEWEST_SPEAKERS, is None.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, read_clip, refuse_unreadable
from corpora.manifest import Clip, corpus_hash, read_manifest
from corpora.splits import refuse_same_audio
from detectors import BUNDLED, Detector, bundled
from detectors.audio import RATE
from detectors.config import Calibration
from detectors.errors import HearsayError
from detectors.files import whole
from detectors.scoring import ScoringSession

from . import metrics
from .intervals import eer_interval

ENOUGH = 10
LANGUAGES = {"en": "English", "": "unknown"}  # whatever is another one is "other"
FEWEST = 3
VERDICTS = ("fake", "inconclusive", "real")
SHORTCUTS = ("duration", "level", "bandwidth", "leading_silence")


def evaluate(
    manifest: Path,
    split: str | None,
    detectors: Mapping[str, Detector],
    seed: int = 0,
    scores_out: Path | None = None,
    max_unreadable: float = MAX_UNREADABLE,
) -> dict[str, Any]:
    """Score every clip of a split (or of the whole manifest) with every detector, and measure.

    Clips without speech, or of a fraction of a second, are scored like all others; one that cannot
    be read counts as failed, and its llr is left empty.

    Args:
        detectors: By the names that the result has.
        seed: Of the intervals.
        scores_out: Where a CSV of id, label, model and llr is written, also of those that were
            made before anything went wrong.
        max_unreadable: Share of the clips that may be unreadable.

    Returns:
        {split, seed, clips, unreadable: {id: reason}, corpus_hash, models: {name: `measure` and
        version, failed}, shortcuts}, ready for JSON.

    Raises:
        HearsayError: The manifest cannot be used, too many clips cannot be read, or a label has
            none that can be scored.
    """
    clips = labelled_clips(manifest, split)
    unreadable: dict[str, str] = {}
    llr = {name: np.full(len(clips), np.nan) for name in detectors}
    cues = np.full((len(clips), len(SHORTCUTS)), np.nan)
    try:
        score_all(clips, detectors, llr, cues, unreadable)
    finally:
        if scores_out is not None:
            _write_scores(scores_out, clips, llr)
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    return {
        "split": split,
        "seed": seed,
        "clips": len(clips),
        "unreadable": unreadable,
        "corpus_hash": corpus_hash(clips),
        "models": {
            name: _measured(name, detector, clips, llr[name], seed)
            for name, detector in detectors.items()
        },
        "shortcuts": _shortcut_aucs(clips, cues),
    }


def labelled_clips(manifest: Path, split: str | None) -> list[Clip]:
    """The clips of a split, or of the whole manifest, that error rates can be measured on.

    Raises:
        HearsayError: The manifest cannot be used, a label is missing, or one recording has two.
    """
    clips = read_manifest(manifest, split)
    if len({clip.label for clip in clips}) < 2:
        raise HearsayError(f"All clips of {manifest} are {clips[0].label}; both labels are needed.")
    refuse_same_audio(clips)
    return clips


def _measured(
    name: str, detector: Detector, clips: Sequence[Clip], llr: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """`measure` on the clips that could be scored, with the detector's version."""
    scored = np.isfinite(llr)
    kept = [clip for clip, good in zip(clips, scored, strict=True) if good]
    if len({clip.label for clip in kept}) < 2:
        raise HearsayError(f"{name} could score no clips of one of the labels.")
    registered = name.startswith("models:/")
    return {
        "version": detector.version if registered else detector.digest[:12],
        "failed": int((~scored).sum()),
        **measure(kept, llr[scored], detector.config.calibration, seed),
    }


def measure(
    clips: Sequence[Clip], llr: NDArray[np.float64], calibration: Calibration, seed: int = 0
) -> dict[str, Any]:
    """All figures of one detector from its LLRs (n,) for n clips of both labels.

    {pooled, same_source, at_dev_threshold, verdicts, cllr, min_cllr, min_dcf, act_dcf, by_family,
    by_system, by_year, by_language}; pooled, same_source and the rows of the others are {eer,
    eer_ci, eer_hull, auc, clips, spoof, bonafide}. calibration: the detector's, whose verdicts are
    counted.
    """
    threshold = calibration.threshold
    labels = np.array([clip.is_spoof for clip in clips], dtype=np.int64)
    speakers = np.array([clip.speaker for clip in clips])
    sources = np.array([clip.source for clip in clips])
    languages = np.array([LANGUAGES.get(clip.language, "other") for clip in clips])
    mixed = set(sources[labels == 1]) & set(sources[labels == 0]) - {""}

    def compare(keep: NDArray[np.bool_]) -> dict[str, Any]:
        return _compare(llr[keep], labels[keep], speakers[keep], seed)

    def against(spoofs: NDArray[np.bool_]) -> dict[str, Any]:
        own = (labels == 0) & np.isin(sources, list(set(sources[spoofs]) - {""}))
        same = own.sum() >= ENOUGH
        row = compare(spoofs | (own if same else labels == 0))
        return {**row, "against": "same-source" if same else "all"}

    def rows(names: NDArray[np.str_]) -> dict[str, Any]:
        spoof_names = sorted(set(names[labels == 1].tolist()))
        return {name: against((labels == 1) & (names == name)) for name in spoof_names}

    return {
        "pooled": compare(np.ones(len(clips), dtype=bool)),
        "same_source": compare(np.isin(sources, list(mixed))),
        "at_dev_threshold": {
            "threshold": threshold,
            **metrics.at_threshold(llr, labels, threshold),
        },
        "verdicts": _verdicts(llr, labels, calibration),
        "cllr": metrics.cllr(llr, labels),
        "min_cllr": metrics.min_cllr(llr, labels),
        "min_dcf": metrics.min_dcf(llr, labels),
        "act_dcf": metrics.act_dcf(llr, labels),
        "by_family": rows(np.array([clip.family for clip in clips])),
        "by_system": rows(np.array([clip.system for clip in clips])),
        "by_year": rows(np.array([clip.year or "unknown" for clip in clips])),
        "by_language": {name: compare(languages == name) for name in sorted({*languages})},
    }


def _verdicts(
    llr: NDArray[np.float64], labels: NDArray[np.int64], calibration: Calibration
) -> dict[str, dict[str, int]]:
    """{label: {verdict: clips}}."""
    verdicts: list[str] = [calibration.verdict(value) for value in llr]
    counts = Counter(zip(labels.tolist(), verdicts, strict=True))
    return {
        label: {verdict: counts[spoof, verdict] for verdict in VERDICTS}
        for label, spoof in (("spoof", 1), ("bonafide", 0))
    }


def _compare(
    llr: NDArray[np.float64],
    labels: NDArray[np.int64],
    speakers: NDArray[np.str_],
    seed: int,
) -> dict[str, Any]:
    """Rates, their interval and what they were computed from; None where clips are too few."""
    spoof, bonafide = int(labels.sum()), int((1 - labels).sum())
    row: dict[str, Any] = {"eer": None, "eer_ci": None, "eer_hull": None, "auc": None}
    if min(spoof, bonafide) >= FEWEST:
        row["eer"] = metrics.eer(llr, labels)
        row["eer_hull"] = metrics.eer_hull(llr, labels)
        row["auc"] = metrics.auc(llr, labels)
        row["eer_ci"] = eer_interval(llr, labels, speakers.tolist(), seed)
    return {**row, "clips": len(labels), "spoof": spoof, "bonafide": bonafide}


def score_all(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    llr: Mapping[str, NDArray[np.float64]],
    cues: NDArray[np.float64],
    unreadable: dict[str, str],
) -> None:
    """Fill in the LLRs (n,) of each detector and the shortcut cues (n, 4) of each readable clip."""
    for i, clip in enumerate(tqdm(clips, desc="scoring", unit="clip", mininterval=1)):
        wave = read_clip(clip, unreadable)
        if wave is not None:
            cues[i] = shortcuts(wave.samples)
            session = ScoringSession(wave)
            for name, detector in detectors.items():
                llr[name][i] = session.score(detector).llr


def shortcuts(samples: NDArray[np.float32]) -> tuple[float, ...]:
    """What a dumb detector could look at, from (n,) samples at 16 kHz, in the order of SHORTCUTS.

    Length in s; RMS in dB; of the energy above 1 kHz, the share above 7 kHz in dB; seconds before
    the first 10-ms frame that comes within 40 dB of the loudest.
    """
    power = np.square(samples, dtype=np.float64)
    spectrum = np.square(np.abs(np.fft.rfft(samples.astype(np.float64))))
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    step = RATE // 100
    frames = np.add.reduceat(power, np.arange(0, len(power), step))
    return (
        len(samples) / RATE,
        _decibel(power.mean()),
        _decibel(spectrum[hz > 7000].sum() / max(spectrum[hz > 1000].sum(), 1e-12)),
        int(np.argmax(frames >= frames.max() * 1e-4)) * step / RATE,
    )


def _decibel(power: float) -> float:
    return 10 * math.log10(max(power, 1e-12))


def _shortcut_aucs(clips: Sequence[Clip], cues: NDArray[np.float64]) -> dict[str, float]:
    decoded = np.isfinite(cues).all(axis=1)
    labels = np.array([clip.is_spoof for clip in clips])[decoded]
    aucs = (metrics.auc(cue[decoded], labels) for cue in cues.T)
    return {name: max(auc, 1 - auc) for name, auc in zip(SHORTCUTS, aucs, strict=True)}


def folder_of(name: str) -> Path:
    """The folder of a bundled detector, or the one that is named by its path."""
    return BUNDLED / name if name in bundled() else Path(name)


def _write_scores(path: Path, clips: Sequence[Clip], llr: dict[str, NDArray[np.float64]]) -> None:
    with whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "model", "llr"])
        for name, values in llr.items():
            for clip, value in zip(clips, values.tolist(), strict=True):
                writer.writerow([clip.id, clip.label, name, value if math.isfinite(value) else ""])
