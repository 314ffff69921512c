"""A Report as the page's panels: name -> HTML."""

from __future__ import annotations

from . import cards, evidence
from .analysis import Report

EMPTY = Report(step="")
NAMES = ("verdict", "seconds", "timeline", "bands", "detectors", "facts")


def panels(report: Report, prior: float = 0.5, last: Report = EMPTY) -> dict[str, str]:
    """The panels that changed since `last`; all others stay as they are on the page."""
    shown = {"verdict": cards.verdict_card(report, prior)}
    opinions = report.opinions is not last.opinions or report.waiting != last.waiting
    if opinions or report.wave is not last.wave:
        shown["timeline"] = evidence.timeline_panel(report)
        shown["detectors"] = cards.detectors_panel(report, prior)
        shown["facts"] = cards.facts_panel(report)
    if report.wave is not last.wave or report.seconds is not last.seconds or not report.step:
        shown["seconds"] = evidence.seconds_panel(report)
    if report.bands is not last.bands or not report.step:
        shown["bands"] = evidence.bands_panel(report)
    return shown


def nothing() -> dict[str, str]:
    """The page before any recording."""
    return dict.fromkeys(NAMES, "") | {"verdict": cards.WELCOME}
