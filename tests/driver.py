"""The real page in a real browser: a server in a process of its own, and Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright
from stores import free_port

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 180_000  # two busy cores may take minutes over what takes seconds


@contextmanager
def served(folder: Path, names: Sequence[str] = ()) -> Iterator[str]:
    """Start the page with a registry and a log of its own in `folder`; yields its address.

    names: the bundled detectors that it begins with; all of them if empty.
    """
    port = free_port()
    env = os.environ | {"PORT": str(port), "MLFLOW_TRACKING_URI": registry_uri(folder)}
    with (folder / "page.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import app; app.main({names!r})"],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        try:
            await_answer(address, lambda: process.poll() is None)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{(folder / 'page.log').read_text()}") from error
        yield address
    finally:
        process.terminate()
        process.wait(30)


def registry_uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def await_answer(address: str, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until the page at an address answers; RuntimeError where it is dead or never does."""
    for _ in range(600):
        if not alive():
            raise RuntimeError("The page ended at once.")
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError("The page does not answer.")


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A headless Chromium with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


def visit(browser: Browser, address: str, width: int = 1280, scheme: str = "light") -> Page:
    """A new tab on the page, ready to take a recording."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/?__theme={scheme}")
    page.wait_for_selector("#recording button")
    return page


def upload(page: Page, path: Path) -> None:
    """Give the page a file, as a person would by the upload field."""
    page.set_input_files("#recording input[type=file]", str(path))


def await_all(page: Page) -> None:
    """Wait until verdict, explanations and table are drawn."""
    page.wait_for_selector("#bands .area")
    page.wait_for_function("!document.querySelector('#verdict .progress')")
