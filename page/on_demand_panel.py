"""What runs on demand as a part of the page: its components, their layout and their events."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import soundfile as sf

from detectors import AudioError, Detector, Waveform, read
from detectors.audio import RATE
from detectors.errors import HearsayError
from detectors.registry import Version

from . import on_demand, views
from .on_demand import MethodRun
from .pipeline import LONGEST_S
from .rendering import render
from .report import Report
from .turns import Seat, Turns

Updates = dict[Any, Any]
Entries = Callable[[], Sequence[tuple[Version, Detector]]]
GONE = "The recording is no longer here: uploads are deleted after an hour. Please choose it again."


class OnDemandPanel:
    """Another method, the evidence and the audit; hidden until `opened` with a verdict."""

    def __init__(self, entries: Entries, turns: Turns) -> None:
        """Lay out, inside the Blocks that is being built.

        entries: gives what is in service. turns: with whom detectors are run in turns.
        """
        self.entries = entries
        self.turns = turns
        self.run = gr.State(MethodRun(), time_to_live=3600)
        self.stopper = gr.State(None, time_to_live=3600)  # an Event while a method runs
        with gr.Column(visible=False, elem_id="closer") as self.column:
            with gr.Row(elem_classes="closer-head"):
                gr.HTML(render("on_demand"), elem_classes="hs")
                self.detector = gr.Dropdown([], label="Detector", elem_id="explained")
            with gr.Column(elem_classes="card", elem_id="other"):
                gr.HTML(render("ask_method"), elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.method = gr.Dropdown([], label="Method", elem_id="method")
                    self.explain = gr.Button("Explain", elem_id="explain")
                    self.halt = gr.Button("Stop", visible=False, elem_id="stop")
                self.explained = gr.HTML("", elem_classes="hs", elem_id="look")
            with gr.Column(elem_classes="card", elem_id="replay"):
                gr.HTML(render("ask_evidence"), elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.hear = gr.Button("Hear it and score it again", elem_id="hear")
                self.evidence = gr.HTML("", elem_classes="hs", elem_id="evidence")
            with gr.Column(elem_classes="card", elem_id="shortcuts"):
                gr.HTML(render("ask_audit"), elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.check = gr.Button("Run the audit", elem_id="run-audit")
                self.audited = gr.HTML("", elem_classes="hs", elem_id="audit")

    @property
    def parts(self) -> list[Any]:
        """What `cleared` and `opened` change."""
        return [self.column, self.detector, self.method, self.run, *self.results]

    @property
    def results(self) -> list[Any]:
        """What shows the answers."""
        return [self.explained, self.evidence, self.audited]

    def connect(
        self, recording: Any, report: Any, prior: Any, quiet: dict[str, Any], busy: dict[str, Any]
    ) -> None:
        """Tie the events to the page's recording, its Report and the prior in per cent.

        quiet: settings of all events; busy: those of events that run detectors.
        """
        about = [recording, report, self.detector]
        self.detector.input(self.methods_of, [report, self.detector], self.method, **quiet)
        runs: tuple[tuple[Any, Callable[..., Any], list[Any], list[Any]], ...] = (
            (self.explain, self.explain_again, [*about, self.method],
             [self.explained, self.run, self.stopper, self.halt]),
            (self.hear, self.hear_evidence, [*about, self.run, prior], [self.evidence]),
            (self.check, self.audit, [*about, prior], [self.audited]),
        )  # fmt: skip
        for button, run, inputs, outputs in runs:
            asked = button.click(run, inputs, outputs, trigger_mode="once", **quiet, **busy)
            sorry = views.problem("This did not finish. Please try again in a minute.")
            asked.failure(None, None, outputs[0], js=f"() => {sorry!r}", **quiet)
        # at once, not behind what it stops
        self.halt.click(stop, self.stopper, None, queue=False, **quiet)

    def cleared(self) -> Updates:
        """As it is before a recording."""
        empty = {self.explained: "", self.evidence: "", self.audited: "", self.run: MethodRun()}
        return {self.column: gr.Column(visible=False), **empty}

    def opened(self, report: Report) -> Updates:
        """As it is when everything that comes by itself is there."""
        return {
            self.column: gr.Column(visible=True),
            self.detector: gr.Dropdown(list(report.names), value=report.explained),
            self.method: self.methods_of(report, report.explained),
        }

    # --- events ---

    def methods_of(self, report: Report, name: str) -> Any:
        """The methods on offer for the chosen detector; the best that is not drawn comes first."""
        if name not in report.choices:
            return gr.skip()
        choice = report.choices[name]
        return gr.Dropdown(list(choice.methods), value=choice.suggested)

    def explain_again(
        self, path: str | None, report: Report, name: str, method: str | None
    ) -> Iterator[Updates]:
        """Explain the chosen detector by the chosen method; `stop` ends it."""
        if method is None:
            yield {self.explained: views.problem("Please choose a method.")}
            return
        ended = Event()
        yield {self.explained: views.progress("Reading the recording"), self.stopper: ended}
        try:
            wave, detector = self.still_there(path, report, name)
        except HearsayError as error:
            yield {self.explained: views.problem(str(error))}
            return
        for run in on_demand.run_method(report, wave, detector, name, method, ended, self.turns):
            going = run.view is None and not run.error
            yield {
                self.explained: views.method_card(run, wave),
                self.run: run,
                self.halt: gr.Button(visible=going and run.stoppable),
            }

    def hear_evidence(
        self, path: str | None, report: Report, name: str, run: MethodRun, percent: float
    ) -> Iterator[str]:
        """Play, and score again, what decided the chosen detector."""
        yield views.progress("Reading the recording")
        try:
            wave, detector = self.still_there(path, report, name)
            yield views.progress(f"{name} listens to the evidence")
            with self.turns:
                found = on_demand.replay(report, wave, detector, name, run)
        except HearsayError as error:
            yield views.problem(str(error))
            return
        takes = {"alone": found.alone, "original": found.original.samples}
        takes |= {"kept": found.kept.samples, "removed": found.removed.samples}
        addresses = {kind: playable(samples, self.evidence) for kind, samples in takes.items()}
        result = report.assessment.model(name)
        yield views.evidence_card(found, result, addresses, percent / 100)

    def audit(self, path: str | None, report: Report, name: str, percent: float) -> Iterator[str]:
        """Score the recording again under changes that leave the voice as it was."""
        yield views.progress("Reading the recording")
        try:
            wave, detector = self.still_there(path, report, name)
            yield views.progress(f"{name} listens to eight versions")
            with self.turns:
                rows = on_demand.audit_part(report, wave, detector, name, percent / 100)
        except HearsayError as error:
            yield views.problem(str(error))
            return
        part = wave.facts.seconds > on_demand.AUDITED_S
        yield views.audit_card(rows, name, part)

    def still_there(self, path: str | None, report: Report, name: str) -> tuple[Waveform, Detector]:
        """The recording that was scored and the detector that scored it.

        Raises:
            HearsayError: where one of them has been deleted or replaced.
        """
        if path is None or name not in report.names:
            raise HearsayError(GONE)
        try:
            wave = read(path, max_seconds=LONGEST_S)
        except AudioError as error:
            raise HearsayError(GONE) from error
        return wave, on_demand.in_service(report, name, self.entries())


def stop(*running: Event | Seat | None) -> None:
    """End the method that runs, if one does, and the like."""
    for one in running:
        if one is not None:
            one.set()


def playable(samples: np.ndarray, block: Any) -> str:
    """Address of (n,) samples as the detectors hear them; the file goes with `block`'s uploads."""
    folder = tempfile.mkdtemp(dir=block.GRADIO_CACHE)
    path = Path(folder, "heard.wav")
    sf.write(path, samples, RATE, subtype="PCM_16")
    served = block.move_resource_to_block_cache(path)
    return f"gradio_api/file={quote(str(served))}"
