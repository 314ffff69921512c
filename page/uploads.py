"""What strangers upload: how much is taken, where it lies, and that it goes.

A recording lies in a folder of this process, which it reaches whole or not at all: until then it
has no name on the disk, and goes with its request. What lies there goes by age, and what other
processes left behind goes when the page starts.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import anyio
from gradio.processing_utils import hash_file
from gradio_client.utils import strip_invalid_filename_characters
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Receive

from .guard import STALLED_S, Refused
from .pipeline import LARGEST_BYTES

LOG = logging.getLogger("hearsay.page")
MB = 1_000_000
QUOTA_BYTES = 4_000 * MB  # of all that lies in the folder or is on its way there
FREE_BYTES = 500 * MB  # that stay free on the disk
FRAME = 10_000  # bytes of a request around its file
LONGEST_S = 1200  # of an upload
KEPT_S = 3600
SWEPT_EVERY_S = 60
FULL_S = 600
PREFIX = "hearsay-uploads-"
LOCK = ".lock"

FULL = "There is no room for another recording now. Please try again in ten minutes."
ONE = "An upload is one file, sent as a form with the field 'files'."
BROKEN_OFF = "The upload broke off. Please try again."


class Redacted(io.TextIOBase):
    """A stream for logs in which no path in a folder is written out, whoever prints it."""

    def __init__(self, stream: TextIO, folder: Path) -> None:
        self.stream = stream
        self.paths = re.compile(f"{re.escape(str(folder))}.*")

    def write(self, text: str) -> int:
        self.stream.write(self.paths.sub("<a recording>", text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


@dataclass
class Arriving:
    """An upload on its way: bytes so far, and the name by which the browser knows it."""

    name: str = ""
    size: int = 0

    def add(self, body: bytes) -> None:
        if not self.size:  # the form's first part begins with it
            named = re.search(rb'filename="([^"\r\n]*)"', body[:FRAME])
            self.name = named[1].decode(errors="replace") if named else ""
        self.size += len(body)


class Uploads:
    """The folder, and the route by which recordings come into it.

    Args:
        folder: Of this process alone.
        largest, quota, free: Bytes of one recording, of all of them, and free on the disk.
        stalled_s: Seconds without a byte after which an upload is given up.
    """

    def __init__(
        self,
        folder: Path,
        *,
        largest: int = LARGEST_BYTES,
        quota: int = QUOTA_BYTES,
        free: int = FREE_BYTES,
        stalled_s: float = STALLED_S,
    ) -> None:
        self.folder = folder.resolve()
        self.largest, self.quota, self.free = largest, quota, free
        self.stalled_s = stalled_s
        self.coming = 0  # bytes of uploads on their way; of the event loop's thread
        self.arriving: dict[str, Arriving] = {}  # those whose progress can be asked for

    def holds(self, path: str) -> bool:
        """Is it a file in the folder, and not by a link that leads out of it?"""
        try:
            file = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return False
        inside = Path(path).is_absolute() and file.is_relative_to(self.folder)
        return inside and file.is_file() and file.name != LOCK

    async def take(self, request: Request) -> Response:
        """POST of one file: its path in a list, as Gradio's clients expect it, or a sentence."""
        number, arriving = request.query_params.get("upload_id", ""), Arriving()
        try:
            with self._room_for(_length(request)), anyio.fail_after(LONGEST_S):
                self.arriving[number] = arriving
                steady = Request(request.scope, self._steady(request.receive, arriving))
                return JSONResponse([await self._taken(steady)])
        except Refused as refused:
            return refused.response(request.url.path)
        except (ClientDisconnect, TimeoutError):
            return Refused(408, BROKEN_OFF).response(request.url.path)
        except HTTPException:  # of the form's parser
            return Refused(400, ONE).response(request.url.path)
        except OSError as error:
            LOG.error("An upload could not be written: errno %s", error.errno)
            return Refused(507, FULL, FULL_S).response(request.url.path)
        finally:
            self.arriving.pop(number, None)

    async def progress(self, request: Request) -> Response:
        """GET how much of an upload has arrived since the last event, as Gradio's browser asks."""
        number = request.query_params.get("upload_id", "")
        for _ in range(30):  # it is asked for before the upload begins
            if number in self.arriving:
                return StreamingResponse(self._events(number), media_type="text/event-stream")
            await anyio.sleep(0.1)
        return PlainTextResponse("There is no such upload.", 404)

    async def _events(self, number: str) -> AsyncIterator[str]:
        told = 0
        while (arriving := self.arriving.get(number)) is not None:
            more, told = arriving.size - told, arriving.size
            if more:
                said = {"msg": "update", "orig_name": arriving.name, "chunk_size": more}
                yield f"data: {json.dumps(said)}\n\n"
            await anyio.sleep(0.2)
        yield f"data: {json.dumps({'msg': 'done'})}\n\n"

    @contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        """Keep room for an upload while it comes; raises Refused where there is none."""
        if size > self.largest + FRAME:
            raise self._too_large()
        there = sum(_size(path) for path in self._contents())
        # twice: what comes is written beside the folder first
        free = shutil.disk_usage(self.folder).free - 2 * (self.coming + size)
        if there + self.coming + size > self.quota or free < self.free:
            raise Refused(507, FULL, FULL_S)
        self.coming += size
        try:
            yield
        finally:
            self.coming -= size

    def _too_large(self) -> Refused:
        most = self.largest >> 20
        return Refused(413, f"The file is larger than {most} MB, the most that this page takes.")

    def _steady(self, receive: Receive, arriving: Arriving) -> Receive:
        async def received() -> Message:
            with anyio.fail_after(self.stalled_s):
                message = await receive()
            arriving.add(message.get("body", b""))
            return message

        return received

    async def _taken(self, request: Request) -> str:
        async with request.form(max_files=1, max_fields=0) as form:
            file = form.get("files")
            if not isinstance(file, UploadFile):
                raise Refused(400, ONE)
            if (file.size or 0) > self.largest:
                raise self._too_large()
            return str(await run_in_threadpool(self._keep, file))

    def _keep(self, file: UploadFile) -> Path:
        """Where Gradio would copy the file to before using it, so that it lies there once."""
        name = strip_invalid_filename_characters(Path(file.filename or "").name)
        descriptor, coming = tempfile.mkstemp(dir=self.folder)
        try:
            with open(descriptor, "wb") as copy:
                shutil.copyfileobj(file.file, copy, MB)
            place = self.folder / hash_file(coming)
            place.mkdir(exist_ok=True)
            kept = place / (name if name.strip(".") else "recording")
            os.replace(coming, kept)
        except BaseException:
            Path(coming).unlink(missing_ok=True)
            raise
        return kept

    def _contents(self) -> Iterator[Path]:
        """Everything in the folder, what lies in a folder before it."""
        for parent, folders, files in os.walk(self.folder, topdown=False):
            yield from (Path(parent, name) for name in (*files, *folders))

    def sweep(self, age_s: float = KEPT_S) -> None:
        """Delete what has lain there for longer than `age_s`: uploads and what was made of them."""
        now = time.time()
        for path in self._contents():
            with suppress(OSError):  # it went meanwhile, or the folder is not empty
                if path.name == LOCK or now - path.lstat().st_ctime <= age_s:
                    continue
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()

    def sweep_by_and_by(self) -> None:
        """Sweep every minute, in the background, for as long as the process lives."""

        def run() -> None:
            while True:
                time.sleep(SWEPT_EVERY_S)
                self.sweep()

        threading.Thread(target=run, name="hearsay-sweep", daemon=True).start()


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for uploads while the process lives; those of dead ones are deleted before.

    A lock marks the folders of the living: the kernel takes it from the dead, however they died.
    """
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{PREFIX}*"):
        _delete_if_dead(folder)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        Path(name, LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _delete_if_dead(folder: Path) -> None:
    """Delete a folder of uploads of this user that no process holds."""
    with suppress(OSError):  # it went meanwhile, or belongs to another
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid != os.getuid():
            return
        if not (folder / LOCK).exists():  # it may be about to be locked
            if time.time() - found.st_ctime > SWEPT_EVERY_S:
                shutil.rmtree(folder)
            return
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it is in use
            shutil.rmtree(folder)


def _length(request: Request) -> int:
    """Bytes of a request that says how many they are."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise Refused(411, "An upload says how large it is (Content-Length).")
    return int(length)


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size
