"""Detectors on recordings of the kind that people bring: `hearsay evaluate --conditions`.

Every clip of a split goes through each of `corpora.channels.CONDITIONS`, voice messages, telephone,
noise and so on, and is scored again; the shipped thresholds stay as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, read_clip, refuse_unreadable
from corpora.channels import CONDITIONS
from corpora.manifest import Clip
from detectors import Detector
from detectors.audio import bare
from detectors.scoring import ScoringSession
from detectors.tables import Row, cell, table

from . import metrics
from .intervals import eer_interval, mean

ROUNDS = 2


def under(name: str, clip: str, samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """A clip's samples (n,) under a condition; by chance, the same for the clip's id each time."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(clip.encode())])
    return CONDITIONS[name](samples, rng)


def degraded(clips: Sequence[Clip], audio: Sequence[NDArray[np.int16]]) -> list[NDArray[np.int16]]:
    """`ROUNDS` rounds of all clips, each clip under another condition each time.

    Args:
        audio: (n,) at 16 kHz, one a clip.

    Returns:
        As many a round as there are clips, in their order: what `calibrate` takes.
    """
    names = [name for name in CONDITIONS if name != "clean"]
    made = []
    for round_ in range(ROUNDS):
        pairs = zip(clips, audio, strict=True)
        for clip, x in tqdm(pairs, desc="degrading", total=len(clips), mininterval=5):
            at = zlib.crc32(clip.id.encode()) + round_ * (len(names) // ROUNDS)
            y = under(names[at % len(names)], clip.id, x.astype(np.float32) / np.float32(32767))
            made.append(np.round(y.clip(-1, 1) * 32767).astype(np.int16))
    return made


def score_under(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    max_unreadable: float = MAX_UNREADABLE,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """{condition: {detector: LLRs (n,)}}; NaN for a clip that cannot be read.

    Raises:
        HearsayError: More than the share max_unreadable of the clips cannot be read.
    """
    unreadable: dict[str, str] = {}
    llr = {name: {d: np.full(len(clips), np.nan) for d in detectors} for name in CONDITIONS}
    for i, clip in enumerate(tqdm(clips, desc="conditions", unit="clip", mininterval=5)):
        wave = read_clip(clip, unreadable)
        if wave is None:
            continue
        for name in CONDITIONS:
            session = ScoringSession(bare(under(name, clip.id, wave.samples)))
            for model, detector in detectors.items():
                llr[name][model][i] = session.score(detector).llr
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    return llr


def measure_under(
    clips: Sequence[Clip],
    llr: Mapping[str, Mapping[str, NDArray[np.float64]]],
    detectors: Mapping[str, Detector],
    seed: int = 0,
) -> list[Row]:
    """A flat row a condition and detector.

    value, low, high: EER with its interval over speakers; eer_hull; cllr; called_fake: of the bona
    fide clips, by the verdict that the page gives; found: of the spoofs, likewise; n: clips.
    """
    labels = np.array([clip.is_spoof for clip in clips], dtype=np.int64)
    rows = []
    for condition, by_model in llr.items():
        for model, values in by_model.items():
            there = np.isfinite(values)
            scores, truth = values[there], labels[there]
            speakers = [clip.speaker for clip, kept in zip(clips, there, strict=True) if kept]
            verdict = detectors[model].config.calibration.verdict
            fake = np.array([verdict(float(score)) == "fake" for score in scores])
            interval = eer_interval(scores, truth, speakers, seed)
            of_speakers = np.array(speakers)[truth == 0].tolist()
            alarms = mean(fake[truth == 0].astype(float).tolist(), of_speakers)
            rows.append(
                {
                    "condition": condition,
                    "model": model,
                    "value": metrics.eer(scores, truth),
                    "low": interval[0] if interval else None,
                    "high": interval[1] if interval else None,
                    "n": int(there.sum()),
                    "eer_hull": metrics.eer_hull(scores, truth),
                    "cllr": metrics.cllr(scores, truth),
                    "called_fake": alarms["value"],
                    "called_fake_ci": [alarms["low"], alarms["high"]],
                    "found": float(fake[truth == 1].mean()),
                }
            )
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Two tables, conditions by detectors: EER, and the shares of clips that are called fake."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    at = {(row["condition"], row["model"]): row for row in rows}

    def rate(row: dict[str, Any]) -> str:
        interval = None if row["low"] is None else [row["low"], row["high"]]
        return cell(row["value"], interval, ".1%")

    def called(row: dict[str, Any]) -> str:
        return f"{row['called_fake']:.0%} / {row['found']:.0%}"

    lines = [[name, *(rate(at[name, model]) for model in models)] for name in conditions]
    rise = [
        np.mean([at[name, model]["value"] for name in conditions]) - at["clean", model]["value"]
        for model in models
    ]
    lines.append(["mean rise over clean", *(f"{100 * value:+.1f}" for value in rise)])
    share = [[name, *(called(at[name, model]) for model in models)] for name in conditions]
    return "\n\n".join(
        [
            table(["EER", *models], lines),
            table(["real / fake clips called fake", *models], share),
        ]
    )
