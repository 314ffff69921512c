"""Hearsay's page: layout and events. What it says is in `page/`.

python app.py            # http://127.0.0.1:7860; PORT= chooses another port
"""

from __future__ import annotations

import os

# Set before the imports that read them: nobody outside is told that somebody listened.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from detectors import BUNDLED, bundled
from detectors.pool import DetectorPool
from detectors.runtime import prepare
from page import cards, evidence, service
from page.analysis import Report, analyse, judge
from page.answer import answer
from page.closer_panel import CloserPanel, playable
from page.panels import EMPTY, nothing, panels

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE / "page" / "examples").glob("*.flac"))
ONE_AT_A_TIME = "analysis"  # the queue's name for everything that runs detectors
Updates = dict[Any, Any]


class Page:
    """The components, their layout and their events, serving what is on a shelf."""

    def __init__(self, shelf: DetectorPool) -> None:
        self.shelf = shelf
        with gr.Blocks(
            title="Hearsay", analytics_enabled=False, delete_cache=(600, 3600)
        ) as self.blocks:
            self._lay_out()
            self._connect()
            self._api()
        self.blocks.queue(max_size=16, api_open=False)

    def _lay_out(self) -> None:
        self.report = gr.State(EMPTY, time_to_live=3600)
        gr.HTML(cards.HEADER, elem_classes="hs")
        self.notices = gr.HTML("", elem_classes="hs", elem_id="notices")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.audio = gr.Audio(
                    label="Recording",
                    sources=["upload", "microphone"],
                    type="filepath",
                    format=None,
                    buttons=[],
                    elem_id="recording",
                )
                with gr.Row(elem_classes="examples", visible=bool(EXAMPLES)):
                    self.examples = [
                        gr.Button(path.stem.replace("-", " "), size="sm", min_width=120)
                        for path in EXAMPLES
                    ]
                gr.HTML(cards.PRIVACY, elem_classes="hs")
            with gr.Column(scale=6, min_width=320):
                verdict = gr.HTML(cards.WELCOME, elem_classes="hs", elem_id="verdict")
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
        self.closer = CloserPanel()
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320, elem_id="about"):
                self.panels["facts"] = gr.HTML("", elem_classes="hs", elem_id="facts")
            with gr.Column(min_width=320):
                gr.HTML(cards.LIMITS, elem_classes="hs")
        self.served = gr.HTML("", elem_classes="hs", elem_id="served")
        self.timer = gr.Timer(5)

    def _connect(self) -> None:
        shown = [*self.panels.values(), self.sound, self.report, *self.closer.parts]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        busy: dict[str, Any] = {"concurrency_id": ONE_AT_A_TIME, "concurrency_limit": 1}
        heard = self.audio.change(
            self.hear, [self.audio, self.prior], shown, trigger_mode="always_last", **quiet, **busy
        )
        # in the browser: the server is the one that did not answer
        heard.failure(None, None, self.panels["verdict"], js=f"() => {cards.BUSY!r}", **quiet)
        self.closer.connect(self.audio, self.report, self.prior, quiet, busy)
        weighed = [self.panels["verdict"], self.panels["detectors"]]
        about = [self.report, self.prior]
        # one queue for both: the last prior that was asked for is the last one answered
        turn: dict[str, Any] = {"concurrency_id": "weighing", "concurrency_limit": 1}
        self.prior.input(self.weigh, about, weighed, trigger_mode="always_last", **quiet, **turn)
        heard.success(self.weigh, about, weighed, **quiet, **turn)  # it may have moved meanwhile
        for button, path in zip(self.examples, EXAMPLES, strict=True):
            button.click(lambda path=path: str(path), None, self.audio, **quiet)
        service_lines = [self.notices, self.served]
        self.blocks.load(self.served_now, None, service_lines, queue=False, **quiet)
        self.timer.tick(self.served_now, None, service_lines, queue=False, **quiet)

    def _api(self) -> None:
        file = gr.Audio(type="filepath", format=None, label="file", visible=False)
        prior = gr.Number(0.5, minimum=0.001, maximum=0.999, label="prior", visible=False)
        detector = gr.Textbox("", label="detector", visible=False)
        said = gr.JSON(label="answer", visible=False)
        gr.Button(visible=False).click(
            self.analyze,
            [file, prior, detector],
            said,
            api_name="analyze",
            concurrency_id=ONE_AT_A_TIME,
            concurrency_limit=1,
        )

    # --- events ---

    def hear(self, path: str | None, percent: float) -> Iterator[Updates]:
        """Analyse a recording that was uploaded, recorded or chosen."""
        cleared = self._named(nothing()) | {self.sound: ""} | self.closer.cleared()
        if path is None:
            yield cleared | {self.report: EMPTY}
            return
        last = EMPTY
        yield cleared
        for report in analyse(path, self.shelf.detectors()):
            updates = self._shown(report, percent, last)
            if report.wave is not None and last.wave is None:
                updates[self.sound] = evidence.sound(playable(report.wave.samples, self.sound))
            yield updates
            last = report

    def weigh(self, scored: Report, percent: float) -> Updates:
        """Verdict and table under another prior: the detectors are not asked again."""
        if not scored.opinions:
            return gr.skip()
        prior = percent / 100
        return {
            self.panels["verdict"]: cards.verdict_card(scored, prior),
            self.panels["detectors"]: cards.detectors_panel(scored, prior),
        }

    def served_now(self) -> tuple[str, str]:
        """Notices about the registry, and the versions in service."""
        versions = [version for version, _ in self.shelf.detectors()]
        return cards.notices(self.shelf.notices), cards.served(versions)

    def analyze(self, file: str, prior: float = 0.5, detector: str = "") -> dict[str, Any]:
        """Score a recording for signs of synthesis.

        file: a recording of up to 10 minutes and 20 MB. prior: the share of fakes among recordings
        like this one, between 0 and 1. detector: whose verdict to give; the best one's if empty.

        Returns verdict ("fake", "real", "inconclusive", or why there is none: "no-speech",
        "too-short", "unreadable", ...), words, p_fake, llr (natural log, positive = fake),
        detector, models (a row each), windows (llr by start_s and end_s), facts and error.
        """
        *_, report = judge(file, self.shelf.detectors())
        return answer(report, prior, detector)

    # --- parts ---

    def _named(self, html: dict[str, str]) -> Updates:
        return {self.panels[name]: value for name, value in html.items()}

    def _shown(self, report: Report, percent: float, last: Report) -> Updates:
        updates = self._named(panels(report, percent / 100, last))
        updates[self.report] = replace(report, wave=None)
        if report.explained and not report.step:
            updates |= self.closer.opened(report)
        return updates


def theme() -> gr.themes.Base:
    """Greys, since colour belongs to the evidence, and system fonts, since nothing is fetched."""
    sans = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]
    look = gr.themes.Base(primary_hue="slate", neutral_hue="slate", font=sans, font_mono=mono)
    return look.set(slider_color="*neutral_500")


def launch(page: Page, host: str, port: int) -> None:
    """Serve until the process is told to stop."""
    _, address, _ = page.blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        strict_cors=True,
        ssr_mode=False,
        max_file_size="20mb",
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        allowed_paths=[str(HERE / "page" / "examples")],
        favicon_path=None,
        theme=theme(),
        css_paths=HERE / "page" / "style.css",
        head=f"<script>{(HERE / 'page' / 'player.js').read_text()}</script>",
    )
    print(f"Hearsay is at {address}", flush=True)
    page.blocks.block_thread()


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
    folders = [BUNDLED / name for name in names or bundled()]
    with tempfile.TemporaryDirectory(prefix="hearsay-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        shelf = DetectorPool(folders)
        page = Page(shelf)
        service.start(shelf, folders)
        try:
            launch(page, host, int(port))
        except OSError as error:
            sys.exit(f"The page did not start: {error}")


if __name__ == "__main__":
    main()
