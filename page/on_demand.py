"""What the page does when it is asked to: another method, the evidence to hear, the audit.

Nothing of this runs before it is asked for; a method that takes long can be stopped, and of a long
recording only a part is audited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import TypeVar

from detectors import Detector, Waveform
from detectors.audio import RATE, bare
from detectors.errors import HearsayError
from detectors.registry import Version
from explain import METHODS, ExplainError, Explanation, explain
from explain.audit import Variant, audit
from explain.coalitions.game import Progress
from explain.hit_rates import default_method
from explain.replay import Evidence, evidence

from . import describe
from .pipeline import explained_span
from .report import ExplanationView, Report
from .turns import Stopped, Turns

T = TypeVar("T")
AUDITED_S = 20.0  # of a longer recording: eight versions are scored, while everybody waits
EVERY_S = 0.3  # between two looks at the progress


@dataclass(frozen=True)
class MethodRun:
    """An explanation by a method of one's choice: on its way, there, or why it is not.

    Attributes:
        detector: The detector's name.
        method: The method's name.
        share: 0..1 of the way; done is 1.
        stoppable: Can the method be stopped?
        view: The explanation, once it is there.
        error: Why there is none, in a sentence.
    """

    detector: str = ""
    method: str = ""
    share: float = 0.0
    stoppable: bool = False
    view: ExplanationView | None = None
    error: str = ""

    @property
    def title(self) -> str:
        return METHODS[self.method].title


def in_service(report: Report, name: str, entries: Sequence[tuple[Version, Detector]]) -> Detector:
    """The detector that a report speaks of, among those in service.

    Raises:
        HearsayError: where another one goes by its name by now, or none.
    """
    digest = report.assessment.model(name).digest
    for version, detector in entries:
        if version.name == name and detector.digest == digest:
            return detector
    raise HearsayError(
        f"{name} has been replaced since this recording was scored. Please choose the recording "
        "again."
    )


def run_method(
    report: Report,
    wave: Waveform,
    detector: Detector,
    name: str,
    method: str,
    stop: Event,
    turns: Turns | None = None,
) -> Iterator[MethodRun]:
    """Explain one detector's score by one method; a MethodRun now and then, and one at the end.

    `stop` ends it early, as does dropping the iterator, where the method tells its progress. turns:
    with whom it takes turns; alone if None.
    """
    turns = turns or Turns()
    now = MethodRun(name, method, stoppable=METHODS[method].takes_progress)
    start_s, _ = explained_span(report, wave, name)

    def work(progress: Progress) -> Explanation:
        def told(share: float) -> None:
            turns.pass_on()
            progress(share)

        with turns:
            return explain(detector, wave, method, start_s=start_s, progress=told)

    try:
        for done in watched(work, stop):
            if isinstance(done, Explanation):
                view = describe.on_demand(done, detector, name)
                now = MethodRun(name, method, 1.0, view=view)
            else:
                now = replace(now, share=done)
            yield now
    except ExplainError as error:
        yield MethodRun(name, method, error=str(error))
    except Stopped:
        yield MethodRun(name, method, error="Stopped.")


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
            stop.set()  # whoever stops watching stops the work


def replay(
    report: Report, wave: Waveform, detector: Detector, name: str, last: MethodRun
) -> Evidence:
    """Evidence of the explanation that is on the page for this detector, made if there is none.

    Raises:
        ExplainError: where there is nothing to hear in it.
    """
    start_s, _ = explained_span(report, wave, name)
    if last.detector == name and last.view is not None:
        made = last.view.made
    elif report.explained == name and report.seconds is not None:
        made = report.seconds.made
    else:
        made = explain(detector, wave, default_method(detector), start_s=start_s)
    return evidence(detector, wave, made, start_s=start_s)


def audit_part(
    report: Report, wave: Waveform, detector: Detector, name: str, prior: float
) -> tuple[Variant, ...]:
    """The shortcut audit of one detector; raises ExplainError.

    Of a long recording `AUDITED_S` seconds are audited, round its strongest evidence for fake.
    """
    start_s, _ = explained_span(report, wave, name)
    n = round(AUDITED_S * RATE)
    start = max(0, round(float(wave.position(start_s)) - n / 2))
    start = max(0, min(start, len(wave.samples) - n))
    return audit(detector, bare(wave.samples[start : start + n]), prior)
