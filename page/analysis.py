"""One recording through everything: read, score, explain; a Report after each step.

    for report in analyse("clip.m4a", shelf.detectors()):
        print(report.step, [opinion.score.llr for opinion in report.opinions])

Pure Python: the page, its API and the tests all run this.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detectors import AudioError, Config, Detector, Score, Waveform, Window, read
from detectors.registry import Version
from detectors.scoring import Hearing
from explain import ExplainError, Explanation, explain, methods
from explain.catalog import FEATURE, FREQUENCY, TIME, unasked
from explain.hit_rates import BAND, best

from .methods import LIT

LONGEST_S = 600.0


@dataclass(frozen=True)
class Opinion:
    """One detector's answer: the version that gave it, its score and the time it took."""

    version: Version
    detector: Detector
    score: Score
    milliseconds: float

    @property
    def name(self) -> str:
        return self.version.name

    @property
    def config(self) -> Config:
        return self.detector.config

    def kind(self, prior: float = 0.5) -> str:
        """ "fake", "real" or "inconclusive"; see `Calibration.verdict`."""
        return self.config.calibration.verdict(self.score.llr, prior)


@dataclass(frozen=True)
class Report:
    """What is known about a recording so far.

    step: what happens next, in words, or "" when all is done. share: 0..1 of the way. opinions
    begin with the detector that gives the verdict; waiting: the names of those to come. explained:
    the detector that `seconds` (its decisive seconds) and `bands` (its frequencies, or features of
    the voice where it hears those) explain. error: why there is no verdict. notices: what went
    wrong on the way, in sentences.
    """

    step: str = "Reading the recording"
    share: float = 0.0
    wave: Waveform | None = None
    opinions: tuple[Opinion, ...] = ()
    waiting: tuple[str, ...] = ()
    explained: str = ""
    seconds: Explanation | None = None
    bands: Explanation | None = None
    error: AudioError | None = None
    notices: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the detectors that have an opinion."""
        return tuple(opinion.name for opinion in self.opinions)


def ranked(entries: Sequence[tuple[Version, Detector]]) -> list[tuple[Version, Detector]]:
    """Detectors by Cllr on dev, the best first; equal ones by name, unmeasured ones last.

    The first one gives the page's verdict, the others are second opinions: its error rates were
    measured, while those of a vote would be anybody's guess.
    """
    return sorted(entries, key=lambda entry: (*entry[1].config.rank[:2], entry[0].name))


def analyse(
    source: str | Path | bytes, entries: Sequence[tuple[Version, Detector]]
) -> Iterator[Report]:
    """Yield a Report before each step and one at the end: read, score with all, explain the best.

    The verdict is there with the first opinion, before any explanation.
    """
    report = Report()
    for report in judge(source, entries):
        if report.step:
            yield report
    if report.wave is not None and report.opinions:
        yield from explained_by(report, report.wave, report.opinions[0].name)
    else:
        yield report


def judge(
    source: str | Path | bytes, entries: Sequence[tuple[Version, Detector]]
) -> Iterator[Report]:
    """Yield a Report before each step and one at the end: read and score with all, best first."""
    entries = ranked(entries)
    report = Report(waiting=tuple(version.name for version, _ in entries))
    yield report
    try:
        wave = read(source, max_seconds=LONGEST_S)
    except AudioError as error:
        yield replace(report, step="", share=1.0, waiting=(), error=error)
        return
    report = replace(report, wave=wave)
    hearing = Hearing(wave)
    for n, (version, detector) in enumerate(entries):
        share = 0.1 + 0.5 * n / len(entries)
        yield replace(report, step=f"{version.name} is listening", share=share)
        started = time.perf_counter()
        score = hearing.score(detector)
        took = 1000 * (time.perf_counter() - started)
        report = replace(report, waiting=report.waiting[1:])
        if math.isfinite(score.llr):
            opinion = Opinion(version, detector, score, took)
            report = replace(report, opinions=(*report.opinions, opinion))
        else:
            notice = f"{version.name} gave no usable number for this recording and was left out."
            report = replace(report, notices=(*report.notices, notice))
    yield replace(report, step="", share=1.0)


def explained_by(report: Report, wave: Waveform, name: str) -> Iterator[Report]:
    """Explain one detector's opinion on a scored recording: first by time, then by frequency.

    A long recording is explained where this detector's evidence for fake is strongest.
    """
    opinion = opinion_of(report, name)
    start_s = worst_start(opinion)
    detector = opinion.detector
    lights, colours = by_time(opinion), by_frequency(opinion)
    report = replace(report, wave=wave, explained=name, seconds=None, bands=None)
    try:
        if lights:
            yield replace(report, step=f"Finding the seconds that decided {name}", share=0.65)
            seconds = explain(detector, wave, lights, start_s=start_s)
            report = replace(report, seconds=seconds)
        yield replace(report, step=f"Finding what in the sound decided {name}", share=0.85)
        if colours:
            bands = explain(detector, wave, colours, start_s=start_s)
            report = replace(report, bands=bands)
    except ExplainError as error:
        report = replace(report, notices=(*report.notices, str(error)))
    yield replace(report, step="", share=1.0)


def by_time(opinion: Opinion) -> str | None:
    """The method that lights seconds unasked; None where none finds planted edits well enough."""
    return best(opinion.detector, unasked(TIME), least=LIT)


def by_frequency(opinion: Opinion) -> str | None:
    """The method that says unasked what in the sound decided; None where none beats loudness."""
    valid = methods(opinion.detector)
    for method in unasked(FEATURE):  # in place of frequencies, where a detector hears features
        if method in valid:
            return method
    return best(opinion.detector, unasked(FREQUENCY), BAND)


def opinion_of(report: Report, name: str) -> Opinion:
    return next(opinion for opinion in report.opinions if opinion.name == name)


def worst_start(opinion: Opinion) -> float:
    """Where the window begins that speaks most for fake: the one that is explained."""
    return worst_window(opinion).start_s


def worst_window(opinion: Opinion) -> Window:
    """The window that speaks most for fake."""
    return max(opinion.score.windows, key=lambda window: window.llr)
