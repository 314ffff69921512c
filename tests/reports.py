"""Reports of scored recordings, made without reading a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from detectors import Detector, Waveform
from detectors.assessment import assess_by_each
from page.pipeline import explained_span
from page.report import Report


def report_of(
    clip: Waveform,
    detectors: Mapping[str, Detector],
    llrs: Mapping[str, float] | None = None,
    **changes: Any,
) -> Report:
    """A clip scored by detectors, the first of which is explained; llrs: instead of theirs."""
    *_, found = assess_by_each(clip, detectors)
    models = [
        replace(found.model(name), version="3", milliseconds=12.0, llr=llr).at(0.5)
        for name in detectors
        for llr in [(llrs or {}).get(name, found.model(name).llr)]
    ]
    first = next(iter(detectors))
    report = Report(
        step="",
        share=1.0,
        wave=clip,
        assessment=replace(found, models=tuple(models)).by(first),
        aliases={name: ("champion",) for name in detectors},
        explained=first,
    )
    return replace(report, span=explained_span(report, clip, first), **changes)
