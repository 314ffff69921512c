"""Uploads: what is taken, what is said when it is not, and that nothing stays."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from page import uploads
from page.guard import UPLOAD
from page.uploads import Redacted, Uploads, own_folder

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def client_of(taken: Uploads) -> TestClient:
    return TestClient(Starlette(routes=[Route(UPLOAD, taken.take, methods=["POST"])]))


def upload(client, content=b"sound", name="voice memo.m4a"):
    return client.post(UPLOAD, files={"files": (name, content)})


def test_a_whole_upload_lies_in_the_folder_once(tmp_path):
    taken = Uploads(tmp_path)
    (path,) = upload(client_of(taken)).json()
    assert files_in(tmp_path) == [Path(path)] and Path(path).read_bytes() == b"sound"
    assert Path(path).name == "voice memo.m4a" and taken.holds(path) and taken.coming == 0


@pytest.mark.parametrize("name", ["../../x.wav", "..", "/etc/cron.d/x", "a\0b", "x" * 400, "."])
def test_a_name_leads_nowhere_else(tmp_path, name):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (path,) = upload(client_of(Uploads(folder)), name=name).json()
    assert files_in(tmp_path) == [Path(path)] and Path(path).is_relative_to(folder)


def test_only_files_in_the_folder_are_held(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (tmp_path / "other").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "other")
    held = Uploads(folder)
    for path in ("link", "../other", "nothing", ""):
        assert not held.holds(f"{folder}/{path}")
    assert not held.holds("uploads/link") and not held.holds("a\0b")


def test_one_file_a_request(tmp_path):
    client = client_of(Uploads(tmp_path))
    two = [("files", ("a.wav", b"a")), ("files", ("b.wav", b"b"))]
    for answer in (
        client.post(UPLOAD, files=two),
        client.post(UPLOAD, files={"other": ("a.wav", b"a")}),
        client.post(UPLOAD, json={}),
    ):
        assert answer.status_code == 400 and answer.text == uploads.ONE
    assert files_in(tmp_path) == []


def test_what_is_too_large_is_refused_before_it_comes(tmp_path):
    client = client_of(Uploads(tmp_path, largest=1 << 20))
    answer = upload(client, bytes(2 << 20))
    assert answer.status_code == 413
    assert answer.text == "The file is larger than 1 MB, the most that this page takes."
    assert upload(client, bytes((1 << 20) + 1)).status_code == 413
    assert client.post(UPLOAD, content=iter([b"a"])).status_code == 411
    assert files_in(tmp_path) == []


def test_no_room_is_a_sentence_with_a_time(tmp_path):
    client = client_of(Uploads(tmp_path, quota=3 * MB))
    assert upload(client, b"a" * 2 * MB).status_code == 200
    answer = upload(client, b"b" * 2 * MB)
    assert answer.status_code == 507 and answer.headers["Retry-After"] == "600"
    assert answer.text == uploads.FULL
    little_left = shutil.disk_usage(tmp_path).free - MB
    assert upload(client_of(Uploads(tmp_path, free=little_left + 2 * MB))).status_code == 507
    assert len(files_in(tmp_path)) == 1


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device", "/home/ann/secret.wav")

    monkeypatch.setattr(uploads.shutil, "copyfileobj", full)
    taken = Uploads(tmp_path)
    answer = upload(client_of(taken))
    assert answer.status_code == 507 and answer.text == uploads.FULL
    assert files_in(tmp_path) == [] and taken.coming == 0 and "secret" not in caplog.text


@pytest.mark.parametrize("end", ["disconnect", "stall"])
def test_an_upload_that_breaks_off_leaves_nothing(tmp_path, monkeypatch, end):
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    taken = Uploads(tmp_path, stalled_s=0.2)
    seen = []
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'

    async def receive():
        seen.append(files_in(tmp_path))
        if len(seen) <= 3:  # more than is kept in memory
            body = (head if len(seen) == 1 else b"") + b"a" * MB
            return {"type": "http.request", "body": body, "more_body": True}
        if end == "disconnect":
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)

    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": "9000000"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": UPLOAD,
        "query_string": b"",
        "app": None,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    answer = asyncio.run(taken.take(Request(scope, receive)))
    assert answer.status_code == 408 and answer.body.decode() == uploads.BROKEN_OFF
    assert len(seen) == 4 and not any(seen) and files_in(tmp_path) == [] and taken.coming == 0


def test_the_browser_hears_how_much_has_arrived(tmp_path):
    taken = Uploads(tmp_path)
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'

    def request(path, receive=None, *headers):
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"upload_id=n"}
        return Request(scope | {"app": None, "headers": list(headers)}, receive)

    async def both():
        bodies = iter([head + b"a" * 1000, b"a" * 2000, b"\r\n--b--\r\n"])

        async def receive():
            await asyncio.sleep(0.3)
            body = next(bodies)
            return {"type": "http.request", "body": body, "more_body": b"--b--" not in body}

        form = (b"content-type", b"multipart/form-data; boundary=b")
        upload = request(UPLOAD, receive, form, (b"content-length", b"4000"))
        coming = asyncio.create_task(taken.take(upload))
        told = await taken.progress(request(f"{UPLOAD}_progress"))
        events = [json.loads(event.removeprefix("data: ")) async for event in told.body_iterator]
        assert (await coming).status_code == 200
        unknown = await taken.progress(request(f"{UPLOAD}_progress"))
        return events, unknown.status_code

    (*updates, last), unknown = asyncio.run(both())
    assert last == {"msg": "done"} and unknown == 404
    assert {update["orig_name"] for update in updates} == {"a.wav"} and len(updates) >= 2
    assert 3000 < sum(update["chunk_size"] for update in updates) < 4000
    assert taken.arriving == {}


def test_old_uploads_and_what_was_made_of_them_go(tmp_path):
    taken = Uploads(tmp_path)
    (path,) = upload(client_of(taken)).json()
    made = tmp_path / "made" / "deep" / "heard.wav"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"heard")
    (tmp_path / "tmpabc").write_bytes(b"half an upload")
    (tmp_path / uploads.LOCK).touch()
    taken.sweep()
    assert len(files_in(tmp_path)) == 4
    time.sleep(0.05)
    taken.sweep(0.01)
    assert [file.name for file in files_in(tmp_path)] == [uploads.LOCK]
    time.sleep(0.05)
    taken.sweep(0.01)  # folders were changed when they became empty
    time.sleep(0.05)
    taken.sweep(0.01)
    assert [file.name for file in tmp_path.rglob("*")] == [uploads.LOCK]
    assert not taken.holds(path)


def test_a_sweep_begins_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "SWEPT_EVERY_S", 0.05)
    monkeypatch.setattr(Uploads, "sweep", lambda self: (tmp_path / "swept").touch())
    Uploads(tmp_path).sweep_by_and_by()
    for _ in range(100):
        time.sleep(0.05)
        if (tmp_path / "swept").exists():
            return
    pytest.fail("nothing was swept")


HOLDER = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from page.uploads import own_folder
with own_folder() as folder:
    (folder / "voice.wav").write_bytes(b"voice")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        theirs = Path(process.stdout.readline().strip())
        try:
            with own_folder() as mine:
                assert (theirs / "voice.wav").exists() and mine != theirs
            assert not mine.exists()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert (theirs / "voice.wav").exists()  # kill -9 cleans nothing
    with own_folder():
        assert not theirs.exists()


def test_what_is_not_ours_is_not_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / uploads.LOCK).touch()
    (other / "kept").touch()
    (tmp_path / f"{uploads.PREFIX}link").symlink_to(other)
    new = tmp_path / f"{uploads.PREFIX}new"  # another process is about to lock it
    new.mkdir()
    with own_folder():
        assert (other / "kept").exists() and new.exists()


def test_logs_hold_no_path_of_a_recording(tmp_path):
    log = io.StringIO()
    redacted = Redacted(log, tmp_path)
    print(f"FileNotFoundError: '{tmp_path}/abc/Ann's voice.wav'", file=redacted)
    print("Something else.", file=redacted)
    assert log.getvalue() == "FileNotFoundError: '<a recording>\nSomething else.\n"
    assert os.fspath(tmp_path) not in log.getvalue()
