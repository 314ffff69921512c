"""The page as people use it: upload, microphone, prior, promotion and what goes wrong."""

from __future__ import annotations

import mimetypes
import re
import threading
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from driver import (
    CHROMIUM,
    await_all,
    await_answer,
    chromium,
    registry_uri,
    served,
    upload,
    visit,
)
from sounds import VOICE
from stores import free_port
from toys import hiss
from voice import voice

from app import Page, launch
from detectors import BUNDLED, bundled, registry
from detectors.frontends.prosody import GROUPS
from detectors.pool import DetectorPool
from explain import METHODS
from page.access import access
from page.uploads import Uploads

EXAMPLES = Path(__file__).parents[2] / "page" / "examples"
QUICK = ("cnn", "prosody")
PRIOR_IN_VERDICT = "document.querySelector('#verdict').innerText.includes('1 in 100 recordings')"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The page with two quick detectors, for what does not depend on their number."""
    with served(tmp_path_factory.mktemp("quick"), QUICK) as address:
        yield address


@pytest.fixture(scope="module")
def browser(folder):
    microphone = folder / "microphone.wav"
    soundfile.write(microphone, voice(12), 16_000)
    with chromium(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ) as browser:
        yield browser


def test_an_upload_gets_verdict_plots_and_table(browser, address):
    page = visit(browser, address)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    upload(page, EXAMPLES / "english-real.flac")
    page.wait_for_selector("#verdict .p-fake")
    early = page.inner_text("#verdict")
    assert re.search(r"P\(fake\) (over |under )?\d+ %", early)
    await_all(page)
    assert page.inner_text("#verdict h2") in ("Likely real", "Likely fake", "Inconclusive")
    assert re.search(r"Of 100 recordings .* about \d+ are fake", page.inner_text("#verdict"))
    assert page.locator("#seconds .area svg").count() >= 1
    assert page.locator("#seconds .bars rect").count() == 64
    assert 1 <= page.locator("#seconds .value").count() <= 3
    assert page.locator("#bands .area img").count() >= 1
    assert "kHz" in page.inner_text("#bands")
    rows = page.locator("#detectors tbody tr")
    assert rows.count() == len(bundled())
    for row in rows.all_inner_texts():
        assert re.search(r"\d+(\.\d)? %.*\d+ ms", row, re.DOTALL)
    assert "16 kHz" in page.inner_text("#facts")
    assert faults == []
    page.close()


def test_the_verdict_comes_before_the_explanation(browser, quick):
    page = visit(browser, quick)
    page.evaluate(
        """() => { window.seen = [];
        new MutationObserver(() => {
          if (document.querySelector('#verdict .p-fake')) seen.push('verdict');
          if (document.querySelector('#seconds .value')) seen.push('seconds');
        }).observe(document.body, {childList: true, subtree: true}); }"""
    )
    upload(page, EXAMPLES / "french-real.flac")
    await_all(page)
    order = page.evaluate("window.seen")
    assert order.index("verdict") < order.index("seconds")
    page.close()


def test_a_recording_from_the_microphone_is_heard(browser, quick):
    page = visit(browser, quick)
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(4000)
    page.get_by_role("button", name="Stop", exact=True).click()
    await_all(page)
    assert page.locator("#detectors tbody tr").count() == len(QUICK)
    assert ".wav" in page.inner_text("#recording")
    page.close()


def film(path: Path, sound: bool) -> Path:
    """Two seconds of black, under a voice or without sound."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=5, width=64, height=64)
        picture.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for n in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), "yuv420p")
            frame.pts = n
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if track:
            heard = av.AudioFrame.from_ndarray(VOICE[None], "fltp", "mono")
            heard.sample_rate = 16_000
            container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


def drop(page, path: Path) -> None:
    """Let go of a file over the headline, as a person would who aims badly."""
    content, kind = list(path.read_bytes()), mimetypes.guess_type(path.name)[0]
    page.evaluate(
        """([bytes, name, type]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
        const options = {dataTransfer, bubbles: true, cancelable: true};
        document.querySelector('h1').dispatchEvent(new DragEvent('drop', options)); }""",
        [content, path.name, kind],
    )


def test_the_sound_of_a_video_is_heard_and_a_silent_one_is_told_apart(browser, quick, tmp_path):
    page = visit(browser, quick)
    upload(page, film(tmp_path / "interview.mkv", sound=True))
    page.wait_for_selector("#verdict .p-fake")
    assert page.inner_text("#verdict .about") == "interview.mkv, 2 s"
    drop(page, film(tmp_path / "silent.mp4", sound=False))  # in the place of the first
    page.wait_for_selector("#verdict:has-text('silent.mp4'):has-text('no audio track')")
    assert page.inner_text("#verdict h2") == "No sound"
    page.close()


def test_what_is_too_large_is_refused_in_a_sentence_before_it_is_sent(browser, quick, tmp_path):
    page = visit(browser, quick)
    assert "one hour and 200 MB" in page.inner_text("#verdict")
    with (tmp_path / "lecture.wav").open("wb") as file:
        file.truncate(201 << 20)
    upload(page, tmp_path / "lecture.wav")
    page.wait_for_selector("#refused", state="visible")
    assert "lecture.wav has 201 MB" in page.inner_text("#refused")
    upload(page, EXAMPLES / "french-real.flac")
    page.wait_for_selector("#verdict .p-fake")
    assert not page.is_visible("#refused")
    page.close()


def test_verdict_and_evidence_go_with_their_recording_before_the_server_answers(browser, quick):
    page = explained_page(browser, quick)
    assert page.inner_text("#verdict .about").startswith("english-vocoder-copy.flac, ")
    page.route("**/gradio_api/queue/join*", lambda route: None)  # no answer
    page.click("#recording button[aria-label='Clear']")
    page.wait_for_function(
        "document.querySelector('#verdict h2').innerText === 'Nothing heard yet'"
    )
    expect_no_evidence(page)
    upload(page, EXAMPLES / "french-real.flac")
    await_word(page, "Received")
    assert page.inner_text("#verdict .about") == "french-real.flac"
    expect_no_evidence(page)
    page.close()


def await_word(page, word: str) -> None:
    page.wait_for_function(f"document.querySelector('#verdict h2').innerText === '{word}'")


def expect_no_evidence(page) -> None:
    for panel in ("seconds", "timeline", "bands", "detectors", "facts"):
        assert page.locator(f"#{panel} .panel").count() == 0
    assert page.locator("#heard").count() == 0


def test_a_second_recording_ends_the_first_ones_analysis(browser, quick):
    page = visit(browser, quick)
    upload(page, EXAMPLES / "english-4-seconds-copied.flac")
    page.wait_for_selector("#verdict .progress")
    page.get_by_role("button", name="french real").click()
    page.wait_for_function(
        "document.querySelector('#verdict .about')?.innerText.startsWith('french-real.flac, ')"
    )
    page.evaluate(
        """() => { window.others = 0; new MutationObserver(() => {
        others += !document.querySelector('#verdict').innerText.includes('french-real.flac');
        }).observe(document.querySelector('#verdict'), {childList: true, subtree: true}); }"""
    )
    await_all(page)
    assert page.evaluate("window.others") == 0
    page.close()


def test_who_waits_is_told_the_place_in_line_and_can_leave(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    served, port = Page(DetectorPool([BUNDLED / "cnn"])), free_port()
    at = (served, "127.0.0.1", port, access({}, "127.0.0.1"), Uploads(tmp_path))
    threading.Thread(target=launch, args=at, daemon=True).start()
    with ExitStack() as others:
        for _ in range(served.turns.seats):
            others.enter_context(served.turns.seat())
        await_answer(f"http://127.0.0.1:{port}")
        page = visit(browser, f"http://127.0.0.1:{port}")
        upload(page, EXAMPLES / "french-real.flac")
        page.wait_for_selector("text=Yours is next")
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector("text=Nothing heard yet")
        others.enter_context(served.turns.seat())
        upload(page, EXAMPLES / "french-real.flac")
        page.wait_for_selector("text=number 2 in line")
    page.wait_for_selector("#verdict .p-fake")
    page.close()
    served.blocks.close(verbose=False)


def test_an_example_is_one_click_away(browser, quick):
    page = visit(browser, quick)
    page.get_by_role("button", name="french real").click()
    page.wait_for_selector("#verdict .p-fake")
    page.close()


def test_a_long_recording_gets_a_timeline(browser, quick):
    page = visit(browser, quick)
    upload(page, EXAMPLES / "english-4-seconds-copied.flac")
    await_all(page)
    assert page.locator("#timeline .area").count() == 1
    assert "where the evidence for fake is strongest" in page.inner_text("#seconds")
    page.close()


def test_the_prior_moves_the_probability(browser, quick):
    page = visit(browser, quick)
    page.get_by_text("Advanced").click()  # first: it puts its parts to their first values once open
    upload(page, EXAMPLES / "english-real.flac")
    await_all(page)
    expect_few_fakes(page)
    page.close()


def test_a_prior_moved_during_the_analysis_holds_after_it(browser, quick):
    page = visit(browser, quick)
    page.get_by_text("Advanced").click()
    upload(page, EXAMPLES / "english-real.flac")
    page.wait_for_selector("#verdict .progress")
    expect_few_fakes(page)
    await_all(page)
    page.wait_for_function(PRIOR_IN_VERDICT)
    page.close()


def expect_few_fakes(page):
    """Set the prior to one fake in a hundred recordings, and wait for the verdict to say so."""
    field = page.locator("#prior input[type=number]")
    field.fill("1")
    field.press("Enter")
    page.wait_for_function(PRIOR_IN_VERDICT)


def test_a_narrow_screen_begins_with_the_verdict_and_nothing_runs_out_of_it(browser, address):
    page = visit(browser, address, width=390)
    upload(page, EXAMPLES / "english-4-seconds-copied.flac")
    await_all(page)
    box = page.locator("#verdict .p-fake").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 844  # of a phone, unscrolled
    widest = "Math.max(document.body.scrollWidth, document.documentElement.scrollWidth)"
    assert page.evaluate(widest) <= 390
    page.close()


@pytest.mark.parametrize(
    ("name", "content", "word", "said"),
    [
        ("notes.wav", b"no sound at all " * 64, "Not readable", "could not be read"),
        ("empty.wav", b"", "Empty", "empty"),
    ],
)
def test_what_is_no_recording_is_said_in_a_sentence(
    browser, quick, tmp_path, name, content, word, said
):
    (tmp_path / name).write_bytes(content)
    page = visit(browser, quick)
    upload(page, tmp_path / name)
    page.wait_for_selector("#verdict .verdict-card.error")
    assert page.inner_text("#verdict h2") == word
    assert said in page.inner_text("#verdict")
    page.close()


@pytest.mark.parametrize(
    ("sound", "word"), [(hiss(48_000), "No speech"), (voice(0.3), "Too short")]
)
def test_hiss_and_snippets_are_verdicts_of_their_own(browser, quick, tmp_path, sound, word):
    soundfile.write(tmp_path / "clip.wav", sound, 16_000)
    page = visit(browser, quick)
    upload(page, tmp_path / "clip.wav")
    page.wait_for_selector("#verdict .verdict-card.unsure")
    assert page.inner_text("#verdict h2") == word
    page.close()


def test_programs_can_ask(address):
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    answer = client.predict(
        handle_file(str(EXAMPLES / "english-real.flac")), 0.5, "", api_name="/analyze"
    )
    assert answer["verdict"] in ("real", "fake", "inconclusive") and 0 < answer["p_fake"] < 1
    assert {model["name"] for model in answer["models"]} == set(bundled())
    said = client.predict(
        handle_file(str(EXAMPLES / "english-real.flac")), 0.5, "nobody", api_name="/analyze"
    )
    assert "nobody" in said["error"]
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/analyze"}


def test_promoting_a_version_changes_what_the_page_uses(browser, address, folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_uri(folder))
    page = visit(browser, address)
    page.wait_for_function("document.querySelector('#served').innerText.includes('version 1')")
    version = registry.register(BUNDLED / "cnn", "cnn")
    registry.promote("cnn", version, "champion", force=True)
    page.wait_for_function(
        f"document.querySelector('#served').innerText.includes('cnn version {version}')",
        timeout=20_000,
    )
    page.close()


def explained_page(browser, address, clip="english-vocoder-copy", width=1280):
    """A page on which everything that comes by itself is there."""
    page = visit(browser, address, width=width)
    upload(page, EXAMPLES / f"{clip}.flac")
    await_all(page)
    page.wait_for_selector("#explain", state="visible")
    return page


def choose(page, field: str, option: str) -> None:
    page.click(f"#{field} input")
    page.get_by_role("option", name=option, exact=True).click()


def test_another_method_is_drawn_with_how_often_it_is_right(browser, quick):
    page = explained_page(browser, quick)
    assert not page.inner_text("#look").strip()  # nothing runs before it is asked for
    choose(page, "method", "Occlusion")
    page.click("#explain")
    page.wait_for_selector("#look .hit")
    assert "times in 10" in page.inner_text("#look .hit")
    choose(page, "explained", "prosody")
    page.wait_for_function(
        f"document.querySelector('#method input').value === '{METHODS['shapley-multigrid'].title}'"
    )
    choose(page, "method", METHODS["shapley-groups"].title)
    page.click("#explain")
    page.wait_for_selector("#look .names")
    assert page.locator("#look .names dd").count() == len(GROUPS)
    page.close()


def test_a_slow_method_can_be_stopped(browser, address):
    page = explained_page(browser, address)
    choose(page, "method", "LIME by time and band")
    page.click("#explain")
    page.click("#stop")
    page.wait_for_selector("#look .notice")
    assert "Stopped" in page.inner_text("#look")
    page.wait_for_selector("#stop", state="hidden")
    page.close()


def test_the_evidence_is_played_and_scored_again(browser, quick):
    page = explained_page(browser, quick)
    page.click("#hear")
    page.wait_for_selector("#evidence .take")
    assert page.locator("#evidence .take").count() == 4
    assert page.inner_text("#evidence .claim").startswith("The claim")
    assert page.inner_text("#evidence").count("LLR") >= 4
    page.get_by_role("button", name="Play: Only what decided").click()
    page.wait_for_function("document.querySelector('#take-kept').currentTime > 0")
    assert page.evaluate("document.querySelector('#take-kept').duration") > 1
    page.get_by_role("button", name="Play: Without what decided").click()
    page.wait_for_function("!document.querySelector('#take-removed').paused")
    assert page.evaluate("document.querySelector('#take-kept').paused")  # one sound at a time
    page.close()


def test_the_keyboard_moves_through_the_sound_and_plays_it(browser, quick):
    page = explained_page(browser, quick)
    page.locator("#seconds .area").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#heard').currentTime >= 0.5")
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('#heard').paused")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#heard').paused")
    page.close()


def test_players_tell_their_time_and_what_they_play_is_what_they_say(browser, quick):
    page = explained_page(browser, quick)
    page.wait_for_function(
        "/^0:00.0 . 0:06.\\d$/.test(document.querySelector('[data-clock]').innerText)"
    )
    chip = page.locator("#seconds .chip").first
    seen = re.search(r"[\d.]+ to [\d.]+ s\s[-+][\d.]+", chip.inner_text())
    assert page.get_by_role("button", name=seen[0]).count() == 1
    assert "listening" not in page.inner_text("body").lower()
    page.close()


def test_the_audit_shows_every_version(browser, quick):
    page = explained_page(browser, quick)
    page.click("#run-audit")
    page.wait_for_selector("#audit table")
    rows = page.locator("#audit tbody tr")
    assert rows.count() == 8
    assert "MP3" in page.inner_text("#audit") and "4 kHz" in page.inner_text("#audit")
    turned = page.locator("#audit tr.flipped").count()
    said = page.inner_text("#audit .claim")
    assert ("is the same" in said) == (turned == 0)
    page.close()


def test_a_new_recording_clears_the_closer_look(browser, quick):
    page = explained_page(browser, quick)
    page.click("#run-audit")
    page.wait_for_selector("#audit table")
    page.get_by_role("button", name="french real").click()
    page.wait_for_function("!document.querySelector('#audit table')")
    await_all(page)
    assert not page.inner_text("#audit").strip()
    page.close()


def test_the_closer_look_fits_a_narrow_screen(browser, quick):
    page = explained_page(browser, quick, width=390)
    page.click("#hear")
    page.wait_for_selector("#evidence .take")
    page.click("#run-audit")
    page.wait_for_selector("#audit table")
    widest = "Math.max(document.body.scrollWidth, document.documentElement.scrollWidth)"
    assert page.evaluate(widest) <= 390
    page.close()
