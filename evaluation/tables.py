"""The tables of an evaluation that a person reads, from the result of `evaluate`."""

from __future__ import annotations

from typing import Any

from detectors.tables import cell, table

from .evaluate import VERDICTS

RATES = ("hter", "sensitivity", "specificity")
COSTS = (("cllr", "min_cllr"), ("act_dcf", "min_dcf"))


def markdown(result: dict[str, Any]) -> str:
    """A row a detector, the verdicts, a row a family, and what the shortcuts alone would give."""
    models = result["models"]
    where = f"split {result['split']}" if result["split"] else "all splits"
    head = [
        "detector", "EER [95 %]", "same-source EER [95 %]", "hull EER", "AUC",
        "HTER at dev threshold", "sensitivity", "specificity", "Cllr (min)", "actDCF (min)",
        "failed",
    ]  # fmt: skip
    overall = [
        [
            name,
            _eer(m["pooled"]),
            _eer(m["same_source"]),
            cell(m["pooled"]["eer_hull"], form=".1%"),
            cell(m["pooled"]["auc"], form=".3f"),
            *(cell(m["at_dev_threshold"][rate], form=".1%") for rate in RATES),
            *(f"{m[cost]:.3f} ({m[least]:.3f})" for cost, least in COSTS),
            str(m["failed"]),
        ]
        for name, m in models.items()
    ]
    kinds = [(label, verdict) for label in ("spoof", "bonafide") for verdict in VERDICTS]
    called = [
        [name, *(str(m["verdicts"][label][verdict]) for label, verdict in kinds)]
        for name, m in models.items()
    ]
    cues = [[name.replace("_", " "), cell(auc)] for name, auc in result["shortcuts"].items()]
    return "\n\n".join(
        [
            f"{result['clips']} clips, {where}; rates in %, intervals over speakers.",
            table(head, overall),
            table(["verdicts", *(f"{label} called {verdict}" for label, verdict in kinds)], called),
            *(_by(group, models) for group in ("family", "year", "language")),
            table(["shortcut alone", "AUC"], cues),
        ]
    )


def _by(group: str, models: dict[str, Any]) -> str:
    names = sorted({name for m in models.values() for name in m[f"by_{group}"]})
    rows = [[name, *(_eer(m[f"by_{group}"][name]) for m in models.values())] for name in names]
    return table([f"EER by {group}", *models], rows)


def _eer(row: dict[str, Any]) -> str:
    if row["eer"] is None:
        return f"- (n = {row['spoof']})"
    return cell(row["eer"], row["eer_ci"], ".1%")
