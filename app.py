"""Hearsay's page: layout and events. What it says is in `page/`.

python app.py            # http://127.0.0.1:7860; PORT= chooses another port
"""

from __future__ import annotations

import json
import os

# Set before the imports that read them: nobody outside is told that somebody listened.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from detectors import BUNDLED, bundled
from detectors.assessment import assess
from detectors.errors import HearsayError
from detectors.pool import DetectorPool
from detectors.runtime import prepare
from page import service, views
from page.access import Access, access
from page.guard import UPLOAD, Guard
from page.on_demand_panel import OnDemandPanel, playable, stop
from page.pipeline import LARGEST_BYTES, LONGEST_S, analyse
from page.rendering import render
from page.report import EMPTY, Report
from page.turns import Seat, Stopped, Turns
from page.uploads import Redacted, Uploads, own_folder

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE / "page" / "examples").glob("*.flac"))
ONE_AT_A_TIME = "on demand"  # the queue's name for what may wait for others of its kind
VISITORS = 16  # whose recordings are heard or stand in line; more wait in Gradio's queue
Updates = dict[Any, Any]


class Page:
    """The components, their layout and their events, serving what a pool holds."""

    def __init__(self, pool: DetectorPool) -> None:
        self.pool = pool
        self.turns = Turns()
        with gr.Blocks(title="Hearsay", analytics_enabled=False) as self.blocks:
            self._lay_out()
            self._connect()
            self._api()
        self.blocks.queue(max_size=16, api_open=False)

    def _lay_out(self) -> None:
        self.report = gr.State(EMPTY, time_to_live=3600)
        self.seat = gr.State(None, time_to_live=3600)  # of what was chosen last
        gr.HTML(render("header"), elem_classes="hs")
        self.notices = gr.HTML("", elem_classes="hs", elem_id="notices")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                with gr.Tabs(elem_id="source") as self.source:
                    with gr.Tab("File", id="file"):
                        self.recording = gr.File(
                            label="Recording", show_label=False, height=150, elem_id="recording"
                        )
                    with gr.Tab("Microphone", id="microphone"):
                        self.microphone = gr.Audio(
                            label="Microphone",
                            show_label=False,
                            sources=["microphone"],
                            type="filepath",
                            format=None,
                            buttons=[],
                            elem_id="microphone",
                        )
                self.cancel = gr.Button("Cancel", elem_id="cancel")  # the card's clicks this one
                with gr.Row(elem_classes="examples", visible=bool(EXAMPLES)):
                    self.examples = [
                        gr.Button(path.stem.replace("-", " "), size="sm", min_width=120)
                        for path in EXAMPLES
                    ]
                gr.HTML(render("privacy", most_bytes=LARGEST_BYTES), elem_classes="hs")
            with gr.Column(scale=6, min_width=320):
                verdict = gr.HTML(views.nothing()["verdict"], elem_classes="hs", elem_id="verdict")
                with gr.Accordion("Advanced", open=False):
                    self.prior = gr.Slider(
                        1,
                        99,
                        50,
                        step=1,
                        label="Of 100 recordings like this one, how many are fake?",
                        info="Your expectation before listening (the prior): it moves P(fake) and "
                        "the verdict, not the evidence.",
                        elem_id="prior",
                    )
        self.sound = gr.HTML("", elem_classes="hs", elem_id="sound")
        self.panels = {"verdict": verdict}
        for name in ("seconds", "timeline", "bands", "detectors"):
            self.panels[name] = gr.HTML("", elem_classes="hs", elem_id=name)
        self.on_demand = OnDemandPanel(self.pool.detectors, self.turns)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320, elem_id="about"):
                self.panels["facts"] = gr.HTML("", elem_classes="hs", elem_id="facts")
            with gr.Column(min_width=320):
                gr.HTML(render("limits"), elem_classes="hs")
        self.served = gr.HTML("", elem_classes="hs", elem_id="served")
        self.timer = gr.Timer(5)

    def _connect(self) -> None:
        shown = [*self.panels.values(), self.sound, self.report, self.seat, *self.on_demand.parts]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        busy: dict[str, Any] = {"concurrency_id": ONE_AT_A_TIME, "concurrency_limit": 1}
        at_once = [*self.panels.values(), self.sound, *self.on_demand.results]
        self.recording.change(None, self.recording, at_once, js=self._cleared_at_once(), **quiet)
        # one after the other: what ran has ended before the next begins
        running = [self.seat, self.on_demand.stopper]
        self.recording.change(stop, running, None, queue=False, **quiet)
        assessed = self.recording.change(
            self.assess_and_explain,
            [self.recording, self.prior],
            shown,
            trigger_mode="multiple",
            concurrency_limit=VISITORS,
            **quiet,
        )
        # in the browser: the server is the one that did not answer
        assessed.failure(
            None, None, self.panels["verdict"], js=f"() => {render('busy')!r}", **quiet
        )
        self.on_demand.connect(self.recording, self.report, self.prior, quiet, busy)
        # one queue for both: the last prior that was asked for is the last one answered
        prior: dict[str, Any] = {
            "fn": self.change_prior,
            "inputs": [self.report, self.prior],
            "outputs": [self.panels["verdict"], self.panels["detectors"]],
            "concurrency_id": "prior",
            "concurrency_limit": 1,
            **quiet,
        }
        self.prior.input(trigger_mode="always_last", **prior)
        assessed.success(**prior)  # it may have moved meanwhile
        for button, path in zip(self.examples, EXAMPLES, strict=True):
            button.click(lambda path=path: str(path), None, self.recording, queue=False, **quiet)
        self.cancel.click(lambda: None, None, self.recording, queue=False, **quiet)
        self.microphone.change(
            self.take_from_microphone,
            self.microphone,
            [self.recording, self.microphone, self.source],
            queue=False,
            **quiet,
        )
        lines = [self.notices, self.served]
        self.blocks.load(self.service_lines, None, lines, queue=False, **quiet)
        self.timer.tick(self.service_lines, None, lines, queue=False, **quiet)

    def _api(self) -> None:
        file = gr.Audio(type="filepath", format=None, label="file", visible=False)
        prior = gr.Number(0.5, minimum=0.001, maximum=0.999, label="prior", visible=False)
        detector = gr.Textbox("", label="detector", visible=False)
        answer = gr.JSON(label="answer", visible=False)
        gr.Button(visible=False).click(
            self.analyze,
            [file, prior, detector],
            answer,
            api_name="analyze",
            concurrency_id=ONE_AT_A_TIME,
            concurrency_limit=1,
        )

    # --- events ---

    def assess_and_explain(self, path: str | None, percent: float) -> Iterator[Updates]:
        """Analyse a recording that was uploaded, recorded or chosen, until its seat is stopped."""
        cleared = {self.sound: "", self.report: EMPTY} | self.on_demand.cleared()
        if path is None:
            yield self._panels(views.nothing()) | cleared | {self.seat: None}
            return
        with self.turns.seat() as seat:
            cleared |= self._panels(views.received(Path(path).name)) | {self.seat: seat}
            yield cleared
            try:
                yield from self._heard(path, percent / 100, seat)
            except Stopped:
                return  # what is shown is of another recording by now

    def _heard(self, path: str, prior: float, seat: Seat) -> Iterator[Updates]:
        """What changes on the page while a recording waits for its seat and is analysed."""
        told = 0
        while place := seat.wait(0.5):
            if place != told:
                yield self._panels(views.received(Path(path).name, place))
            told = place
        last = EMPTY
        for report in analyse(path, self.pool.detectors(), prior, seat):
            updates = self._panels(views.panels(report, last))
            if report.wave is not None and last.wave is None:
                address = playable(report.wave.whole(), self.sound)
                updates[self.sound] = render("sound", address=address)
            if report.explained and not report.step:
                updates |= self.on_demand.opened(report)
            seat.go_on()
            yield updates | {self.report: replace(report, wave=None)}
            last = report

    def take_from_microphone(self, path: str | None) -> tuple[Any, Any, Any]:
        """Let what was recorded be the recording, and the microphone be ready for the next."""
        if path is None:
            return gr.skip(), gr.skip(), gr.skip()
        return path, None, gr.Tabs(selected="file")

    def change_prior(self, report: Report, percent: float) -> Updates:
        """Verdict and table under another prior: the detectors do not score again."""
        if not report.results:
            return gr.skip()
        moved = report.at(percent / 100)
        return {
            self.panels["verdict"]: views.verdict_card(moved),
            self.panels["detectors"]: views.detectors_panel(moved),
        }

    def service_lines(self) -> tuple[str, str]:
        """Notices about the registry, and the versions in service."""
        versions = [version for version, _ in self.pool.detectors()]
        return views.notices(self.pool.notices), views.served(versions)

    def analyze(self, file: str, prior: float = 0.5, detector: str = "") -> dict[str, Any]:
        """Score a recording for signs of synthesis.

        file: a recording of up to an hour and 200 MB. prior: the share of fakes among recordings
        like this one, between 0 and 1. detector: whose verdict to give; the best one's if empty.

        Returns verdict ("fake", "real", "inconclusive", "mixed" or null), p_fake, llr (natural log,
        positive = fake), detector, models (one object each), windows (llr by start_s and end_s),
        stretches (parts that contradict the rest), facts, error (why there is no verdict) and more:
        see docs/answer.schema.json.
        """
        detectors = {version.name: detector for version, detector in self.pool.detectors()}
        found = assess(file, detectors, prior, LONGEST_S, self.turns, self.turns.pass_on)
        found = replace(found, file=Path(file).name)
        return (found.by(detector) if detector and not found.error else found).to_dict()

    def _cleared_at_once(self) -> str:
        """JavaScript that shows a new recording, or none, before the server answers."""
        empty = [""] * (len(self.panels) + len(self.on_demand.results))
        received, nothing = (
            json.dumps([card, *empty])
            for card in (views.received("NAME")["verdict"], views.nothing()["verdict"])
        )
        return (
            f"(file) => file ? {received}.map((html) => html.replace('NAME', () => "
            f"named(file.orig_name))) : {nothing}"
        )

    def _panels(self, html: dict[str, str]) -> Updates:
        return {self.panels[name]: value for name, value in html.items()}


def theme() -> gr.themes.Base:
    """Greys, since colour belongs to the evidence, and system fonts, since nothing is fetched."""
    sans = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]
    look = gr.themes.Base(primary_hue="slate", neutral_hue="slate", font=sans, font_mono=mono)
    return look.set(slider_color="*neutral_500")


def served(page: Page, allowed: Access, uploads: Uploads) -> FastAPI:
    """The page as a web application, behind its guard."""
    files = [str(path) for path in EXAMPLES]
    front = FastAPI(
        openapi_url=None,
        routes=[  # in place of Gradio's
            Route(UPLOAD, uploads.take, methods=["POST"]),
            Route(f"{UPLOAD}_progress", uploads.progress),
        ],
        middleware=[
            Middleware(
                TrustedHostMiddleware, allowed_hosts=list(allowed.hosts), www_redirect=False
            ),
            Middleware(
                Guard,
                access=allowed,
                blocks=page.blocks,
                holds=lambda path: path in files or uploads.holds(path),
            ),
        ],
    )
    return gr.mount_gradio_app(
        front,
        page.blocks,
        path="/",
        root_path=allowed.url or None,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        max_file_size=LARGEST_BYTES,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        allowed_paths=files,
        theme=theme(),
        css_paths=HERE / "page" / "style.css",
        head="".join(
            f"<script>{(HERE / 'page' / f'{name}.js').read_text()}</script>"
            for name in ("player", "choosing")
        ),
    )


def launch(page: Page, host: str, port: int, allowed: Access, uploads: Uploads) -> None:
    """Serve until the process is told to stop."""
    config = uvicorn.Config(
        served(page, allowed, uploads),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(allowed.proxies),
        forwarded_allow_ips=allowed.proxies,
        timeout_graceful_shutdown=3,
    )
    with socket.create_server((host, port)) as listening:
        print(f"Hearsay is at http://{host}:{port}/", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


def main(names: Sequence[str] = ()) -> None:
    """Start the page: on this machine alone, or for everybody on a Hugging Face Space.

    names: the bundled detectors that it begins with; all of them if empty.
    """
    prepare()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = os.environ.get("PORT", "7860")
    if not port.isdigit():
        sys.exit(f"PORT is a number, not '{port}'.")
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    try:
        allowed = access(os.environ, host)
    except HearsayError as error:
        sys.exit(str(error))
    folders = [BUNDLED / name for name in names or bundled()]
    with own_folder() as folder, redirect_stderr(Redacted(sys.stderr, folder)):
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        pool = DetectorPool(folders)
        page = Page(pool)
        service.start(pool, folders)
        uploads = Uploads(folder)
        uploads.sweep_by_and_by()
        try:
            launch(page, host, int(port), allowed, uploads)
        except OSError as error:
            sys.exit(f"The page did not start: {error}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
