"""The shortcut audit over a manifest: which change turns how many verdicts, and what errors cost.

    python -m explain audit --manifest corpus.csv --split test --clips 200 --json audit.json

- flips: share of clips whose verdict another version of the clip gets differently ("inconclusive"
  is a verdict too), over all clips and by label, with their number.
- shift: mean change of the LLR, by label.
- eer: of all clips in that version. Intervals are 95 %, flips by bootstrap over clips, error rates
  by bootstrap over speakers. What nothing supports is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.manifest import Clip, corpus_hash
from detectors import AudioError, read
from detectors.detector import Detector
from evaluation import metrics
from evaluation.markdown import table

from ..audit import Variant, audit
from ..explanation import ExplainError
from .localisation import bootstrap

LABELS = ("bonafide", "spoof")


def audit_corpus(clips: Sequence[Clip], detectors: Mapping[str, Detector]) -> dict[str, Any]:
    """Audit every clip by every detector.

    Returns {clips, skipped, corpus_hash, detectors: {name: {variant: {flips: {all, bonafide,
    spoof}, shift: {bonafide, spoof}, eer, eer_ci}}}}, ready for JSON; flips are {share, share_ci,
    n}, and "original" is a variant. Clips that cannot be read, or without speech, are skipped.
    Raises ExplainError when none is left.
    """
    rows: dict[str, list[tuple[Variant, ...]]] = {name: [] for name in detectors}
    kept: list[Clip] = []
    for clip in tqdm(clips, desc="auditing", unit="clip", mininterval=1):
        try:
            wave = read(clip.path)
            audited = {name: audit(detector, wave) for name, detector in detectors.items()}
        except (AudioError, ExplainError):
            continue
        kept.append(clip)
        for name, row in audited.items():
            rows[name].append(row)
    if not kept:
        raise ExplainError(f"None of the {len(clips)} clips can be read and holds speech.")
    return {
        "clips": len(clips),
        "skipped": len(clips) - len(kept),
        "corpus_hash": corpus_hash(clips),
        "detectors": {name: _figures(kept, own) for name, own in rows.items()},
    }


def _figures(clips: Sequence[Clip], rows: Sequence[tuple[Variant, ...]]) -> dict[str, Any]:
    """{variant: figures} of one detector from a row of variants a clip."""
    labels = np.array([clip.is_spoof for clip in clips], dtype=np.int64)
    speakers = [clip.speaker for clip in clips]
    original = np.array([row[0].llr for row in rows])
    both = {"all": np.ones(len(clips), dtype=bool)}
    both |= {name: labels == label for label, name in enumerate(LABELS)}
    made = {}
    for variants in zip(*rows, strict=True):
        llr = np.array([variant.llr for variant in variants])
        flipped = np.array([variant.flipped for variant in variants])
        figures = {
            "flips": {name: _share(flipped[here]) for name, here in both.items()},
            "shift": {name: _mean((llr - original)[both[name]]) for name in LABELS},
            "eer": None,
            "eer_ci": None,
        }
        if labels.any() and not labels.all():
            figures["eer"] = metrics.eer(llr, labels)
            interval = metrics.cluster_bootstrap(metrics.eer, llr, labels, speakers)
            figures["eer_ci"] = list(interval)
        made[variants[0].name] = figures
    return made


def _share(flipped: np.ndarray) -> dict[str, Any]:
    interval = list(bootstrap(flipped)) if len(flipped) > 1 else None
    return {"share": _mean(flipped), "share_ci": interval, "n": len(flipped)}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def markdown(result: Mapping[str, Any]) -> str:
    """A table for each detector: a row a variant, in per cent."""
    parts = [f"{result['clips']} clips, {result['skipped']} of them without speech or unreadable."]
    for name, variants in result["detectors"].items():
        rows = [
            [variant, *(_rate(own["flips"][key], "share") for key in ("all", *LABELS)),
             *("-" if s is None else f"{s:+.2f}" for s in own["shift"].values()), _rate(own, "eer")]
            for variant, own in variants.items()
        ]  # fmt: skip
        head = ["version", "flips [95 %]", "of bona fide", "of spoof", "LLR shift of bona fide",
                "of spoof", "EER [95 %]"]  # fmt: skip
        parts += [f"**{name}**", table(head, rows)]
    return "\n\n".join(parts)


def _rate(figures: Mapping[str, Any], key: str) -> str:
    rate, interval = figures[key], figures[f"{key}_ci"]
    if rate is None:
        return "-"
    low_high = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
    return f"{100 * rate:.1f}{low_high}"
