"""The tables of an evaluation that a person reads, from the result of `evaluate`."""

from __future__ import annotations

from typing import Any

from .evaluate import VERDICTS
from .markdown import table


def markdown(result: dict[str, Any]) -> str:
    """The tables that a person reads: a row a detector, a row a family, the shortcuts."""
    models = result["models"]
    where = f"split {result['split']}" if result["split"] else "all splits"
    head = [
        "detector", "EER [95 %]", "same-source EER [95 %]", "AUC", "HTER at dev threshold",
        "sensitivity", "specificity", "Cllr (min)", "actDCF (min)", "failed",
    ]  # fmt: skip
    overall = [
        [
            name,
            _eer(m["pooled"]),
            _eer(m["same_source"]),
            "-" if m["pooled"]["auc"] is None else f"{m['pooled']['auc']:.3f}",
            _percent(m["at_dev_threshold"]["hter"]),
            _percent(m["at_dev_threshold"]["sensitivity"]),
            _percent(m["at_dev_threshold"]["specificity"]),
            f"{m['cllr']:.3f} ({m['min_cllr']:.3f})",
            f"{m['act_dcf']:.3f} ({m['min_dcf']:.3f})",
            str(m["failed"]),
        ]
        for name, m in models.items()
    ]
    families = sorted({family for m in models.values() for family in m["by_family"]})
    by_family = [
        [family, *(_eer(m["by_family"][family]) for m in models.values())] for family in families
    ]
    kinds = [(label, verdict) for label in ("spoof", "bonafide") for verdict in VERDICTS]
    called = [
        [name, *(str(m["verdicts"][label][verdict]) for label, verdict in kinds)]
        for name, m in models.items()
    ]
    cues = [[name.replace("_", " "), f"{auc:.2f}"] for name, auc in result["shortcuts"].items()]
    return "\n\n".join(
        [
            f"{result['clips']} clips, {where}; rates in %, intervals over speakers.",
            table(head, overall),
            table(["verdicts", *(f"{label} called {verdict}" for label, verdict in kinds)], called),
            table(["EER by family", *models], by_family),
            table(["shortcut alone", "AUC"], cues),
        ]
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _eer(row: dict[str, Any]) -> str:
    if row["eer"] is None:
        return f"- (n = {row['spoof']})"
    low_high = row["eer_ci"]
    interval = f" [{_percent(low_high[0])}, {_percent(low_high[1])}]" if low_high else ""
    return f"{_percent(row['eer'])}{interval}"
