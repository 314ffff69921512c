"""Takes the README's picture of the page: python tests/browser/picture.py (from the root)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))  # first: tests/ has folders of the same names

from driver import ROOT, await_all, chromium, served, upload, visit


def main() -> None:
    """Write docs/page.png: the example with four copied seconds, explained."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as address,
        chromium() as browser,
    ):
        page = visit(browser, address)
        page.wait_for_selector("#served:not(:has-text('bundled')):has-text('champion')")
        upload(page, ROOT / "page" / "examples" / "english-4-seconds-copied.flac")
        await_all(page)
        page.wait_for_timeout(500)
        page.screenshot(path=ROOT / "docs" / "page.png", full_page=True)


if __name__ == "__main__":
    main()
