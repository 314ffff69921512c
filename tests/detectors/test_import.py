"""python -m detectors import: files and URLs, what is refused, and that nothing is left behind."""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import threading
from dataclasses import dataclass, field

import httpx
import pytest
import torch
from stores import use_store
from tiny_corpus import tiny_corpus

import detectors
from detectors import HearsayError, registry
from detectors.__main__ import main
from detectors.catalog import build
from detectors.importers import download
from detectors.importers.checkpoints import import_checkpoint

FAMILY = "cnn-lite"


@dataclass
class Server:
    """Serves one file at /cnn.pth on a loopback port and keeps what it was asked for."""

    content: bytes
    cut: int | None = None  # bytes after which the first answer breaks off
    ranges: bool = True
    redirect: str | None = None
    url: str = ""
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.asked.append(wanted)
        if self.redirect or request.path.partition("?")[0] != "/cnn.pth":
            request.send_response(302 if self.redirect else 404)
            request.send_header("Location", self.redirect or "")
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_response(416)
            request.end_headers()
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            last, size = len(self.content) - 1, len(self.content)
            request.send_header("Content-Range", f"bytes {start}-{last}/{size}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.cut])
        self.cut = None


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A checkpoint as authors publish them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "cnn.pth"
    torch.save(build(FAMILY, {"bands": 128}).state_dict(), path)
    return path


@pytest.fixture
def server(published, monkeypatch):
    state = Server(published.read_bytes())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.answer(self)

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}/cnn.pth"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of its own to work in, with a registry of its own."""
    use_store(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def command(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["import", "--as", FAMILY, "--name", "mine", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, place, *arguments) -> str:
    """The sentence with which the command ends; nothing may be registered or written."""
    code, said, error = command(capsys, *arguments, "--out", place / "out")
    assert (code, said) == (2, "") and "Traceback" not in error
    assert command(capsys, *arguments)[0] == 2
    assert not (place / "out").exists() and registry.versions() == []
    return error


def test_a_file_becomes_a_folder_that_opens(published, place, capsys):
    assert command(capsys, published, "--out", "made")[0] == 0
    detector = detectors.load(place / "made")
    assert not detector.config.level_normalise
    kept, weights = torch.load(published, weights_only=True), detector.net.state_dict()
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    assert "cnn.pth; not calibrated" in (place / "made/card.md").read_text()
    assert registry.versions() == []


def test_without_out_it_is_registered(published, place, capsys):
    assert command(capsys, published)[:2] == (0, "mine version 1\n")
    assert detectors.load("models:/mine/1").config.architecture == FAMILY


def test_a_manifest_calibrates_it(published, place, capsys):
    manifest = tiny_corpus(place / "corpus", speakers=2)
    assert command(capsys, published, "--manifest", manifest, "--out", "made")[0] == 0
    config = detectors.load(place / "made").config
    assert config.figures["dev"]["clips"] == 4
    assert config.calibration != detectors.Config("plain", FAMILY).calibration
    assert "calibrated on dev of manifest.csv" in (place / "made/card.md").read_text()


def test_a_manifest_that_cannot_calibrate_is_refused(published, place, capsys):
    manifest = tiny_corpus(place / "corpus", speakers=1)
    said = refused(capsys, place, published, "--manifest", place / "none.csv")
    assert "There is no manifest" in said
    said = refused(capsys, place, published, "--manifest", manifest, "--split", "holdout")
    assert "no clips of the split 'holdout'" in said
    rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join(row for row in rows if "spoof" not in row))
    said = refused(capsys, place, published, "--manifest", manifest)
    assert "bona fide and spoofed" in said
    manifest.write_text("\n".join(rows))
    (manifest.parent / "dev0-spoof.flac").write_bytes(b"not sound")
    assert "dev0-spoof.flac" in refused(capsys, place, published, "--manifest", manifest)


def test_a_url_is_fetched_once(server, place, capsys):
    arguments = ("--url", server.url, "--sha256", sha256(server.content).upper())
    assert command(capsys, *arguments, "--out", "made")[0] == 0
    assert detectors.load(place / "made").config.name == "mine"
    assert server.url in (place / "made/card.md").read_text()
    assert command(capsys, *arguments, "--out", "again")[0] == 0
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_broke_off_goes_on(server, place, capsys, ranges):
    server.cut, server.ranges = 100_000, ranges
    arguments = ("--url", server.url, "--sha256", sha256(server.content), "--out", "made")
    code, _, said = command(capsys, *arguments)
    assert code == 2 and "ended after 100000 bytes" in said and "goes on" in said
    assert not (place / "made").exists()
    assert command(capsys, *arguments)[0] == 0
    assert server.asked == [None, "bytes=100000-"]
    assert [p.suffix for p in (place / "runs/downloads").iterdir()] == [".pth"]


@pytest.mark.parametrize("more", [b"", b"\0" * 10])
def test_a_part_that_is_too_long_is_fetched_anew(server, place, more):
    name = f"{sha256(server.content)[:16]}-cnn.pth"
    (place / f"{name}.part").write_bytes(server.content + more)
    found = download.download(server.url, sha256(server.content), place)
    assert found.read_bytes() == server.content
    assert server.asked == [f"bytes={len(server.content)}-", None] or more


def test_another_content_is_refused_and_not_kept(server, place, capsys):
    said = refused(capsys, place, "--url", server.url, "--sha256", "0" * 64)
    assert sha256(server.content) in said and "not kept" in said
    assert not list((place / "runs/downloads").iterdir())


def test_urls_that_lead_elsewhere_are_refused(server, place, capsys):
    content = sha256(server.content)
    said = refused(capsys, place, "--url", server.url + "2", "--sha256", content)
    assert "answers 404" in said
    for url in ("http://example.org/a.pth", "ftp://127.0.0.1/a.pth", "cnn.pth"):
        assert "https alone" in refused(capsys, place, "--url", url, "--sha256", content)
    server.redirect = "http://example.org/a.pth"
    said = refused(capsys, place, "--url", server.url, "--sha256", content)
    assert "http://example.org/a.pth is not fetched" in said
    said = refused(capsys, place, "--url", "http://127.0.0.1:1/a.pth", "--sha256", content)
    assert "ended after 0 bytes" in said
    assert "no URL" in refused(capsys, place, "--url", "https://a:b/a.pth", "--sha256", content)


def test_https_never_leads_to_plain_http_not_even_here():
    first, here = httpx.URL("https://example.org/a.pth"), "http://127.0.0.1/a.pth"
    with pytest.raises(HearsayError, match="https alone"):
        download._stay_safe(first, httpx.Request("GET", here))
    download._stay_safe(first, httpx.Request("GET", "https://example.com/a.pth"))
    download._stay_safe(httpx.URL(here), httpx.Request("GET", "http://localhost:80/a.pth"))


def test_more_than_the_limit_is_not_kept(server, place):
    with pytest.raises(HearsayError, match="more than 1000 bytes"):
        download.download(server.url, sha256(server.content), place / "here", limit=1000)
    assert not list((place / "here").iterdir())


def test_a_url_needs_its_sha256(server, published, place, capsys):
    assert "go together" in refused(capsys, place, "--url", server.url)
    assert "go together" in refused(capsys, place, published, "--sha256", "0" * 64)
    for arguments in ([], [published, "--url", server.url], ["--url", server.url, "--sha256", "x"]):
        with pytest.raises(SystemExit) as stop:
            command(capsys, *arguments)
        assert stop.value.code == 2
    assert server.asked == []


def test_a_wrong_file_is_refused_key_by_key(published, place, capsys):
    weights = torch.load(published, weights_only=True)
    *_, other, name = weights
    weights[name] = torch.zeros(7, 7)
    weights["surplus"] = weights.pop(other)
    torch.save(weights, "wrong.pth")
    said = refused(capsys, place, "wrong.pth")
    assert all(part in said for part in (f"misshapen ({name})", f"missing ({other})", "surplus"))
    (place / "half.pth").write_bytes(published.read_bytes()[:50_000])
    assert "half.pth" in refused(capsys, place, "half.pth")
    assert "There is no checkpoint none.pth" in refused(capsys, place, "none.pth")


@pytest.mark.parametrize("content", [b"", b"hello world\n", b"\x80\x02.", b"PK\x03\x04", bytes(99)])
def test_what_is_no_checkpoint_is_a_sentence(place, capsys, content):
    (place / "a.pth").write_bytes(content)
    assert "a.pth is no plain PyTorch state dict" in refused(capsys, place, "a.pth")


def test_random_bytes_are_no_checkpoint(place):
    for seed in range(40):
        (place / "a.pth").write_bytes(random.Random(seed).randbytes(40))
        with pytest.raises(HearsayError, match=r"a\.pth"):
            import_checkpoint(place / "a.pth", FAMILY, "mine")


@pytest.mark.parametrize("name", ["photos", "../photos", "{place}/photos", ""])
def test_a_name_that_is_a_path_is_refused_before_anything_is_done(server, place, capsys, name):
    (place / "photos").mkdir()
    (place / "photos" / "a.jpg").write_text("mine")
    wanted = ["--url", server.url, "--sha256", "0" * 64, "--name", name.format(place=place)]
    if name == "photos":  # a good name, and the folder is nobody's business
        wanted[3] = sha256(server.content)
        assert command(capsys, *wanted)[:2] == (0, "photos version 1\n")
    else:
        assert "cannot name a detector" in refused(capsys, place, *wanted)
        assert server.asked == []
    assert (place / "photos" / "a.jpg").read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(published, place, capsys):
    (place / "photos").mkdir()
    (place / "photos" / "a.jpg").write_text("mine")
    code, _, said = command(capsys, published, "--out", "photos")
    assert code == 2 and "holds other things than a detector" in said
    assert (place / "photos" / "a.jpg").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "https://a.org/b", "--sha256", "0" * 64, "--as", "hub"], "not --url"),
        (["a.pth", "--split", "test"], "--split is of the clips of --manifest"),
    ],
)
def test_options_that_can_have_no_effect_are_refused(place, capsys, arguments, said):
    assert said in refused(capsys, place, *arguments)
    assert not (place / "runs").exists()


def test_what_a_url_holds_beside_the_place_is_never_shown(server, place, capsys):
    secret = server.url.replace("//", "//me:pa@ss@").replace(".pth", ".pth?token=secret#secret")
    arguments = ["--url", secret, "--sha256", sha256(server.content)]
    server.cut = 100
    code, _, said = command(capsys, *arguments)
    assert code == 2 and server.url in said
    for wrong in (secret.replace(".pth", ".zip"), secret.replace("http:", "ftp:")):
        said += refused(capsys, place, "--url", wrong, "--sha256", "0" * 64)
    server.redirect = "http://me:pa@example.org/a.pth?token=secret"
    said += refused(capsys, place, *arguments)
    server.redirect = None
    assert command(capsys, *arguments)[:2] == (0, "mine version 1\n"), said
    said += registry.mlflow_client().get_model_version("mine", "1").description
    assert server.url in said
    assert not [word for word in ("secret", "token", "pa@", "ss@", "me:") if word in said]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("boom",)


def test_code_in_a_checkpoint_is_refused_and_does_not_run(place, capsys):
    torch.save({"weights": Bomb()}, "bomb.pth")
    assert "bomb.pth" in refused(capsys, place, "bomb.pth")
    assert not (place / "boom").exists()
