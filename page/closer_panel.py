"""The closer look as a part of the page: its components, their layout and their events."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import soundfile as sf

from detectors import AudioError, Waveform, read
from detectors.audio.reader import RATE
from explain import ExplainError
from explain.hit_rates import best, offered

from . import closer, closer_cards
from .analysis import LONGEST_S, Report, opinion_of
from .closer import Look
from .methods import named

Updates = dict[Any, Any]
GONE = "The recording is no longer here: uploads are deleted after an hour. Please choose it again."


class CloserPanel:
    """Another method, the evidence and the audit; hidden until `opened` with a verdict."""

    def __init__(self) -> None:
        """Lay out, inside the Blocks that is being built."""
        self.look = gr.State(Look(), time_to_live=3600)
        self.stopper = gr.State(None, time_to_live=3600)  # an Event while a method runs
        with gr.Column(visible=False, elem_id="closer") as self.column:
            with gr.Row(elem_classes="closer-head"):
                gr.HTML(closer_cards.INTRO, elem_classes="hs")
                self.detector = gr.Dropdown([], label="Detector", elem_id="explained")
            with gr.Column(elem_classes="card", elem_id="other"):
                gr.HTML(closer_cards.ASK_METHOD, elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.method = gr.Dropdown([], label="Method", elem_id="method")
                    self.explain = gr.Button("Explain", elem_id="explain")
                    self.halt = gr.Button("Stop", visible=False, elem_id="stop")
                self.looked = gr.HTML("", elem_classes="hs", elem_id="look")
            with gr.Column(elem_classes="card", elem_id="replay"):
                gr.HTML(closer_cards.ASK_EVIDENCE, elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.hear = gr.Button("Hear it and score it again", elem_id="hear")
                self.evidence = gr.HTML("", elem_classes="hs", elem_id="evidence")
            with gr.Column(elem_classes="card", elem_id="shortcuts"):
                gr.HTML(closer_cards.ASK_AUDIT, elem_classes="hs")
                with gr.Row(elem_classes="ask"):
                    self.check = gr.Button("Run the audit", elem_id="run-audit")
                self.audited = gr.HTML("", elem_classes="hs", elem_id="audit")

    @property
    def parts(self) -> list[Any]:
        """What `cleared` and `opened` change."""
        results = [self.looked, self.evidence, self.audited]
        return [self.column, self.detector, self.method, self.look, *results]

    def connect(
        self, audio: Any, report: Any, prior: Any, quiet: dict[str, Any], busy: dict[str, Any]
    ) -> None:
        """Tie the events to the page's recording, its Report and the prior in per cent.

        quiet: settings of all events; busy: those of events that run detectors.
        """
        about = [audio, report, self.detector]
        self.detector.input(self.methods_of, [report, self.detector], self.method, **quiet)
        runs: tuple[tuple[Any, Callable[..., Any], list[Any], list[Any]], ...] = (
            (self.explain, self.look_closer, [*about, self.method],
             [self.looked, self.look, self.stopper, self.halt]),
            (self.hear, self.hear_evidence, [*about, self.look, prior], [self.evidence]),
            (self.check, self.audit, [*about, prior], [self.audited]),
        )  # fmt: skip
        for button, run, inputs, outputs in runs:
            asked = button.click(run, inputs, outputs, trigger_mode="once", **quiet, **busy)
            sorry = closer_cards.sorry("This did not finish. Please try again in a minute.")
            asked.failure(None, None, outputs[0], js=f"() => {sorry!r}", **quiet)
        for ended in (self.halt.click, audio.change):  # at once, not behind what it stops
            ended(stop, self.stopper, None, queue=False, **quiet)

    def cleared(self) -> Updates:
        """As it is before a recording."""
        empty = {self.looked: "", self.evidence: "", self.audited: "", self.look: Look()}
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
        if name not in report.names:
            return gr.skip()
        opinion = opinion_of(report, name)
        names = offered(opinion.detector)
        shown = (report.seconds, report.bands) if name == report.explained else ()
        drawn = [look.method for look in shown if look]
        others = [method for method in names if method not in drawn]
        choices = [(named(method), method) for method in names]
        return gr.Dropdown(choices, value=best(opinion.detector, others))

    def look_closer(
        self, path: str | None, report: Report, name: str, method: str | None
    ) -> Iterator[Updates]:
        """Explain the chosen detector by the chosen method; `stop` ends it."""
        if method is None:
            yield {self.looked: closer_cards.sorry("Please choose a method.")}
            return
        ended = Event()
        yield {self.looked: closer_cards.working("Reading the recording"), self.stopper: ended}
        wave = still_there(path, report, name)
        if wave is None:
            yield {self.looked: closer_cards.sorry(GONE)}
            return
        for look in closer.look(report, wave, name, method, ended):
            going = look.explanation is None and not look.error
            yield {
                self.looked: closer_cards.look_card(look, report, wave),
                self.look: look,
                self.halt: gr.Button(visible=going and look.stoppable),
            }

    def hear_evidence(
        self, path: str | None, report: Report, name: str, look: Look, percent: float
    ) -> Iterator[str]:
        """Play, and score again, what decided the chosen detector."""
        yield closer_cards.working("Reading the recording")
        wave = still_there(path, report, name)
        if wave is None:
            yield closer_cards.sorry(GONE)
            return
        yield closer_cards.working(f"{name} listens to the evidence")
        try:
            found = closer.heard(report, wave, name, look)
        except ExplainError as error:
            yield closer_cards.sorry(str(error))
            return
        takes = {"alone": found.alone, "original": found.original.samples}
        takes |= {"kept": found.kept.samples, "removed": found.removed.samples}
        addresses = {kind: playable(samples, self.evidence) for kind, samples in takes.items()}
        yield closer_cards.evidence_card(found, report, name, addresses, percent / 100)

    def audit(self, path: str | None, report: Report, name: str, percent: float) -> Iterator[str]:
        """Score the recording again under changes that leave the voice as it was."""
        yield closer_cards.working("Reading the recording")
        wave = still_there(path, report, name)
        if wave is None:
            yield closer_cards.sorry(GONE)
            return
        yield closer_cards.working(f"{name} listens to eight versions")
        try:
            rows = closer.audited(report, wave, name, percent / 100)
            yield closer_cards.audit_card(rows, name, wave.facts.seconds > closer.AUDITED_S)
        except ExplainError as error:
            yield closer_cards.sorry(str(error))


def still_there(path: str | None, report: Report, name: str) -> Waveform | None:
    """The recording that was scored; None once it, or what was said of it, has been deleted."""
    if path is None or name not in report.names:
        return None
    try:
        return read(path, max_seconds=LONGEST_S)
    except AudioError:
        return None


def stop(ended: Event | None) -> None:
    """End the method that runs, if one does."""
    if ended is not None:
        ended.set()


def playable(samples: np.ndarray, block: Any) -> str:
    """Address of (n,) samples as the detectors hear them; the file goes with `block`'s uploads."""
    folder = tempfile.mkdtemp(dir=block.GRADIO_CACHE)
    path = Path(folder, "heard.wav")
    sf.write(path, samples, RATE, subtype="PCM_16")
    served = block.move_resource_to_block_cache(path)
    return f"gradio_api/file={quote(str(served))}"
