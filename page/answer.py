"""The page's answer to programs: a Report as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import verdict
from .analysis import Opinion, Report


def answer(report: Report, prior: float = 0.5, detector: str = "") -> dict[str, Any]:
    """A scored Report as a dict of JSON values.

    detector: whose verdict it is; the page's own choice, the best one on dev, if empty. A recording
    without a verdict has null in p_fake and llr, an AudioError's kind as its verdict ("no-speech",
    "too-short", ...), and the reason in `error`.
    """
    opinions = {opinion.name: opinion for opinion in report.opinions}
    said: dict[str, Any] = {"verdict": "none", "words": "No verdict", "p_fake": None, "llr": None}
    said |= {"prior": prior, "detector": None, "error": None, "models": [], "windows": []}
    said |= {"facts": asdict(report.wave.facts) if report.wave else None}
    said |= {"notices": list(report.notices)}
    if report.error is not None:
        kind = report.error.kind
        return said | {"verdict": kind, "words": verdict.WORDS[kind], "error": str(report.error)}
    if detector and detector not in opinions:
        names = ", ".join(opinions) or "none"
        return said | {"error": f"No detector '{detector}' is in service; there are: {names}."}
    if not opinions:
        return said | {"error": "No detector is in service."}
    main = opinions[detector] if detector else report.opinions[0]
    kind = main.kind(prior)
    return said | {
        "verdict": kind,
        "words": verdict.WORDS[kind],
        "p_fake": main.score.p_fake(prior),
        "llr": main.score.llr,
        "detector": main.name,
        "models": [_model(opinion, prior) for opinion in report.opinions],
        "windows": [asdict(window) for window in main.score.windows],
    }


def _model(opinion: Opinion, prior: float) -> dict[str, Any]:
    return {
        "name": opinion.name,
        "version": opinion.version.version,
        "aliases": list(opinion.version.aliases),
        "verdict": opinion.kind(prior),
        "p_fake": opinion.score.p_fake(prior),
        "llr": opinion.score.llr,
        "milliseconds": opinion.milliseconds,
        "eer": {split: opinion.config.eer(split) for split in ("dev", "test")},
        "notes": list(opinion.score.notes),
    }
