"""The shortcut audit over a manifest: which change flips how many verdicts, and what errors cost.

    python -m explain audit --manifest corpus.csv --split test --clips 200 --json audit.json

Rows are {detector, condition, metric, value, low, high, n}; the condition is the version of the
clips, with "original" among them.

- flips, flips of bonafide, flips of spoof: share of clips whose verdict this version changes
  ("inconclusive" is a verdict too).
- shift of bonafide, shift of spoof: mean change of the LLR.
- eer: of all clips in that version. Intervals are 95 %, by bootstrap over clips, and over speakers
  for the error rate. What nothing supports is None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.audio import leave_out
from corpora.manifest import Clip, corpus_hash
from detectors import AudioError, read
from detectors.detector import Detector
from detectors.tables import Column, Row, pivot
from evaluation.intervals import bootstrap, mean
from evaluation.metrics import eer

from ..audit import Variant, audit
from ..explanation import ExplainError

LABELS = ("bonafide", "spoof")
COLUMNS = (
    Column("flips in % [95 %]", "flips", form=".1%", interval=True),
    *(Column(f"of {x}", f"flips of {x}", form=".1%", interval=True) for x in LABELS),
    *(Column(f"LLR shift of {x}", f"shift of {x}", form="+.2f") for x in LABELS),
    Column("EER in % [95 %]", "eer", form=".1%", interval=True),
)


def audit_corpus(clips: Sequence[Clip], detectors: Mapping[str, Detector]) -> dict[str, Any]:
    """Audit every clip by every detector.

    Clips that cannot be read, or without speech, are skipped, and named on stderr.

    Returns:
        {clips, skipped, left_out: {id: reason}, corpus_hash, rows}, ready for JSON.

    Raises:
        ExplainError: No clip is left.
    """
    audited: dict[str, list[tuple[Variant, ...]]] = {name: [] for name in detectors}
    kept: list[Clip] = []
    left_out: dict[str, str] = {}
    for clip in tqdm(clips, desc="auditing", unit="clip", mininterval=1):
        try:
            wave = read(clip.path)
            own = {name: audit(detector, wave) for name, detector in detectors.items()}
        except (AudioError, ExplainError) as error:
            leave_out(clip, error, left_out)
            continue
        kept.append(clip)
        for name, variants in own.items():
            audited[name].append(variants)
    if not kept:
        raise ExplainError(f"None of the {len(clips)} clips can be read and holds speech.")
    return {
        "clips": len(clips),
        "skipped": len(left_out),
        "left_out": left_out,
        "corpus_hash": corpus_hash(clips),
        "rows": [row for name, variants in audited.items() for row in _rows(name, kept, variants)],
    }


def _rows(
    detector: str, clips: Sequence[Clip], audited: Sequence[tuple[Variant, ...]]
) -> Iterator[Row]:
    """Figures of one detector from the variants of each clip."""
    labels = np.array([clip.is_spoof for clip in clips], dtype=np.int64)
    original = np.array([variants[0].llr for variants in audited])
    for version in zip(*audited, strict=True):
        llr = np.array([variant.llr for variant in version])
        flipped = np.array([variant.flipped for variant in version])
        names = {"detector": detector, "condition": version[0].name}
        yield mean(flipped, metric="flips", **names)
        for label, name in enumerate(LABELS):
            yield mean(flipped[labels == label], metric=f"flips of {name}", **names)
            yield mean((llr - original)[labels == label], metric=f"shift of {name}", **names)
        rate: Row = {"value": None, "low": None, "high": None}
        if labels.any() and not labels.all():
            low, high = bootstrap(eer, llr, labels, [clip.speaker for clip in clips])
            rate = {"value": eer(llr, labels), "low": low, "high": high}
        yield {**names, "metric": "eer", **rate, "n": len(clips)}


def markdown(result: Mapping[str, Any]) -> str:
    """A table for each detector: a line a version."""
    parts = [f"{result['clips']} clips, {result['skipped']} of them without speech or unreadable."]
    for name in dict.fromkeys(row["detector"] for row in result["rows"]):
        own = [row for row in result["rows"] if row["detector"] == name]
        parts += [f"**{name}**", pivot(own, "condition", COLUMNS)]
    return "\n\n".join(parts)
