"""What the page does when it is asked to look closer: another method, the evidence, the audit.

Nothing of this runs before it is asked for; a method that takes long can be stopped, and of a long
recording only a part is audited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import TypeVar

from detectors import Waveform
from detectors.audio.reader import RATE
from explain import METHODS, ExplainError, Explanation, explain
from explain.audit import Variant, audit
from explain.catalog import TIME, unasked
from explain.coalitions.game import Progress
from explain.hit_rates import best
from explain.replay import Evidence, evidence

from .analysis import Report, opinion_of, worst_start

T = TypeVar("T")
AUDITED_S = 20.0  # of a longer recording: eight versions are scored, while everybody waits
EVERY_S = 0.3  # between two looks at the progress


@dataclass(frozen=True)
class Look:
    """An explanation by a method of one's choice: on its way, there, or why it is not.

    name: the detector's. share: 0..1 of the way; done is 1. stoppable: the method listens.
    """

    name: str = ""
    method: str = ""
    share: float = 0.0
    stoppable: bool = False
    explanation: Explanation | None = None
    error: str = ""


class Stopped(Exception):
    """Raised inside a method that somebody stopped."""


def look(report: Report, wave: Waveform, name: str, method: str, stop: Event) -> Iterator[Look]:
    """Explain one detector's opinion by one method; a Look now and then, the last one at the end.

    `stop` ends it early, as does dropping the iterator, where the method listens.
    """
    opinion = opinion_of(report, name)
    now = Look(name, method, stoppable=METHODS[method].takes_progress)

    def work(progress: Progress) -> Explanation:
        return explain(
            opinion.detector, wave, method, start_s=worst_start(opinion), progress=progress
        )

    try:
        for done in watched(work, stop):
            if isinstance(done, Explanation):
                now = Look(name, method, 1.0, explanation=done)
            else:
                now = Look(name, method, done, now.stoppable)
            yield now
    except ExplainError as error:
        yield Look(name, method, error=str(error))
    except Stopped:
        yield Look(name, method, error="Stopped.")


def watched(work: Callable[[Progress], T], stop: Event) -> Iterator[float | T]:
    """Run `work` in a thread: its share done every `EVERY_S` seconds, then its result.

    work is handed a function to tell its share to, which raises Stopped once `stop` is set.
    """
    share = 0.0

    def progress(done: float) -> None:
        nonlocal share
        share = done
        if stop.is_set():
            raise Stopped

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, progress)
        try:
            while not wait([future], timeout=EVERY_S).done:
                yield share
            yield future.result()
        finally:
            stop.set()  # whoever stops listening stops the work


def heard(report: Report, wave: Waveform, name: str, last: Look) -> Evidence:
    """Evidence of the explanation that is on the page for this detector, made if there is none.

    Raises ExplainError.
    """
    opinion = opinion_of(report, name)
    start_s = worst_start(opinion)
    if last.name == name and last.explanation is not None:
        explanation = last.explanation
    elif report.explained == name and report.seconds is not None:
        explanation = report.seconds
    else:
        method = best(opinion.detector, unasked(TIME)) or unasked(TIME)[0]
        explanation = explain(opinion.detector, wave, method, start_s=start_s)
    return evidence(opinion.detector, wave, explanation, start_s=start_s)


def audited(report: Report, wave: Waveform, name: str, prior: float) -> tuple[Variant, ...]:
    """The shortcut audit of one detector; raises ExplainError.

    Of a long recording `AUDITED_S` seconds are audited, round its strongest evidence for fake.
    """
    opinion = opinion_of(report, name)
    n = round(AUDITED_S * RATE)
    start = max(0, round((worst_start(opinion) - AUDITED_S / 2) * RATE))
    start = max(0, min(start, len(wave.samples) - n))
    part = replace(wave, samples=wave.samples[start : start + n])
    return audit(opinion.detector, part, prior)
