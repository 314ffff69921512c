"""One recording through everything: read, score, explain; a Report after each step.

    for report in analyse("clip.m4a", pool.detectors()):
        print(report.step, [result.llr for result in report.results])

Pure Python: the page and its tests run this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from detectors import AudioError, Detector, Waveform, read
from detectors.assessment import Assessment, assess_by_each, ranked
from detectors.registry import Version
from explain import METHODS, ExplainError, explain, methods
from explain.catalog import FEATURE, FREQUENCY, TIME, unasked
from explain.hit_rates import BAND, best, offered, was_measured

from . import describe
from .report import MethodChoice, Report
from .turns import Seat, Turns

LONGEST_S = 3600.0
LARGEST_BYTES = 200 << 20
GOOD = 0.80  # AUC of finding planted edits from which on seconds are lit without being asked for


def analyse(
    source: str | Path | bytes,
    entries: Sequence[tuple[Version, Detector]],
    prior: float = 0.5,
    seat: Seat | None = None,
) -> Iterator[Report]:
    """Yield a Report before each step and one at the end: read, score with all, explain the best.

    The verdict is there with the first detector's score, before any explanation.

    Args:
        source: A file or its bytes, of `LONGEST_S` seconds at most.
        entries: The detectors in service.
        prior: Share of fakes among recordings like this one, 0..1, exclusive.
        seat: Among those for whom detectors run in turns; alone if None.

    Raises:
        Stopped: somebody has stopped the seat.
    """
    seat = seat or Turns().seat()
    detectors = ranked({version.name: detector for version, detector in entries})
    aliases = {version.name: version.aliases for version, _ in entries}
    file = None if isinstance(source, bytes) else Path(source).name
    begun = Assessment(file, prior)
    report = Report(waiting=tuple(detectors), aliases=aliases, assessment=begun)
    yield report
    try:
        wave = read(source, max_seconds=LONGEST_S)
    except AudioError as error:
        failed = replace(begun, error=str(error), error_kind=error.kind)
        yield replace(report, step="", share=1.0, waiting=(), assessment=failed)
        return
    names = list(detectors)
    scored = seat.in_turns(assess_by_each(wave, detectors, prior, seat.pause))
    for n, found in enumerate(scored):
        waiting = tuple(names[n:])
        report = replace(
            report,
            wave=wave,
            assessment=replace(found, file=file),
            waiting=waiting,
            notices=found.notices,
        )
        if waiting:
            share = 0.1 + 0.5 * n / len(names)
            yield replace(report, step=f"{waiting[0]} is listening", share=share)
    if report.results:
        yield from seat.in_turns(explained_by(report, wave, report.names[0], detectors))
    else:
        yield replace(report, step="", share=1.0)


def explained_by(
    report: Report, wave: Waveform, name: str, detectors: Mapping[str, Detector]
) -> Iterator[Report]:
    """Explain one detector's score of a recording: first by time, then by frequency.

    A long recording is explained where this detector's evidence for fake is strongest.
    """
    detector, span = detectors[name], explained_span(report, wave, name)
    time_method, band_method = best_by_time(detector), best_by_frequency(detector)
    report = replace(
        report,
        wave=wave,
        explained=name,
        span=span,
        seconds=None,
        bands=None,
        no_seconds="" if time_method else no_seconds(detector, name),
        no_bands="" if band_method else no_bands(name),
        choices={
            other: method_choice(
                detectors[other], {time_method, band_method} if other == name else set()
            )
            for other in report.names
        },
    )
    try:
        if time_method:
            yield replace(report, step=f"Finding the seconds that decided {name}", share=0.65)
            made = explain(detector, wave, time_method, start_s=span[0])
            report = replace(report, seconds=describe.by_time(made, detector, name))
        yield replace(report, step=f"Finding what in the sound decided {name}", share=0.85)
        if band_method:
            made = explain(detector, wave, band_method, start_s=span[0])
            report = replace(report, bands=describe.by_frequency(made, detector, name, span))
    except ExplainError as error:
        report = replace(report, notices=(*report.notices, str(error)))
    yield replace(report, step="", share=1.0)


def explained_span(report: Report, wave: Waveform, name: str) -> tuple[float, float]:
    """Start and end in seconds of the window that is explained: it speaks most for fake."""
    window = report.assessment.model(name).strongest_window
    return window.start_s, min(window.end_s, wave.facts.seconds)


def best_by_time(detector: Detector) -> str | None:
    """The method that lights seconds unasked; None where none finds planted edits well enough."""
    return best(detector, unasked(TIME), least=GOOD)


def best_by_frequency(detector: Detector) -> str | None:
    """The method that says unasked what in the sound decided; None where none beats loudness."""
    valid = methods(detector)
    for method in unasked(FEATURE):  # in place of frequencies, where a detector hears features
        if method in valid:
            return method
    return best(detector, unasked(FREQUENCY), BAND)


def method_choice(detector: Detector, drawn: set[str | None]) -> MethodChoice:
    """The methods on offer for a detector; suggested is the best of those not `drawn` already."""
    names = offered(detector)
    suggested = best(detector, [method for method in names if method not in drawn])
    return MethodChoice(tuple((METHODS[method].title, method) for method in names), suggested)


def no_seconds(detector: Detector, name: str) -> str:
    """Why no seconds are lit, where no method is good enough for the detector."""
    if not any(was_measured(detector, method) for method in unasked(TIME)):
        return f"No seconds are lit: how often explanations of {name} are right was not measured."
    nearest = best(detector, unasked(TIME))
    if nearest is None:
        return (
            "No seconds are lit: on recordings with planted edits no method finds the seconds that "
            f"turn {name} surely better than loudness or voice activity."
        )
    return (
        "No seconds are lit: on recordings with planted edits no method finds the seconds that "
        f"turn {name} well enough to light them unasked. “{METHODS[nearest].title}” comes closest: "
        "it is under “Look closer”, with how often it is right."
    )


def no_bands(name: str) -> str:
    """Why no frequencies are coloured, where no method is good enough for the detector."""
    return (
        "No frequencies are coloured: on recordings with an exchanged band no method finds the "
        f"band that turns {name} surely better than loudness alone does."
    )
