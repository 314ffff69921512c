"""Decoding in a process of its own, so that a hostile file can neither crash nor fill this one.

A server process with nothing but numpy, soxr and FFmpeg in it is started once. For each recording
it forks a child, which decodes under limits of memory, processor and wall time, sends its samples
through a socket, and is gone. What the child sends is read as numbers and JSON: nothing that it
says is run. When the program ends, however it ends, the server notices and takes its children with
it.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .decoder import Decoded, decode
from .waveform import RATE, AudioError

MEMORY = 64 << 20  # bytes that a child may take, and INDEX times the size of the file on top:
INDEX = 8  # the index of a long MP4 comes to about three bytes for each of the file
MOST_BYTES = 1 << 24  # of samples that come at once
CONTAINERS = 32  # files that a child may have open
KILLED = (
    "The file was given up on: decoding it broke off, or took more memory or time than a recording "
    "of its size should."
)
START = """
import sys, types
from json import loads
sys.path[:] = loads(sys.argv[1])
package = types.ModuleType("detectors")  # without what is in it, which needs PyTorch
package.__path__ = [sys.argv[2]]
sys.modules["detectors"] = package
from detectors.audio.worker import serve
serve(int(sys.argv[3]))
"""


class DecodingServer:
    """The server process, started when it is first needed and again should it have died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process, without waiting for it, where it does not run."""
        with self._lock:
            if self.process is not None and self.process.poll() is None:
                return
            self._control, theirs = socket.socketpair()
            with theirs:
                paths = json.dumps([os.path.abspath(path) for path in sys.path])
                package = str(Path(__file__).parents[1])
                self.process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", START, paths, package, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )

    def connect(self) -> socket.socket:
        """A connection to a child that waits for one recording."""
        self.start()
        ours, theirs = socket.socketpair()
        with theirs:
            assert self._control is not None
            socket.send_fds(self._control, [b"+"], [theirs.fileno()])
        return ours

    def stop(self) -> None:
        """End the process; the next recording starts another."""
        with self._lock:
            if self.process is not None and self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)  # with its children
                self.process.wait()


SERVER = DecodingServer()
atexit.register(SERVER.stop)


def decode_isolated(
    source: str | Path | bytes,
    limit: float,
    track: int,
    channel: int | None,
    write: Callable[[bytes], object],
) -> Decoded:
    """`decode` in a child process; `write` is given the bytes of float32 samples.

    Raises:
        AudioError: As `decode` does, and where the child was killed.
    """
    request: dict[str, Any] = {"limit": limit, "track": track, "channel": channel}
    data = source if isinstance(source, bytes) else b""
    if isinstance(source, bytes):
        request["bytes"] = len(source)
    else:
        request["path"] = os.path.abspath(source)
    try:
        with SERVER.connect() as connection:
            connection.settimeout(2 * _wall_s(limit))
            connection.sendall(json.dumps(request).encode() + b"\n" + data)
            reply = _receive(connection, limit, write)
    except OSError as error:
        raise AudioError("unreadable", KILLED) from error
    if "kind" in reply:
        sentence = reply["sentence"]
        if "path" in request:  # under the name that the user gave
            sentence = sentence.replace(request["path"], str(source))
        raise AudioError(reply["kind"], sentence)
    return Decoded(**reply)


def _receive(
    connection: socket.socket, limit: float, write: Callable[[bytes], object]
) -> dict[str, Any]:
    """Samples as they come, each block after its size; then, after a size of 0, JSON."""
    left = math.ceil((limit + 1) * RATE) * 4
    with connection.makefile("rb") as file:
        while size := int.from_bytes(_exactly(file, 4), "little"):
            left -= size
            if size > MOST_BYTES or left < 0:
                raise OSError("more samples than were asked for")
            write(_exactly(file, size))
        text = file.read(1 << 20)
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise OSError("the reply was cut off") from error


def _exactly(file: Any, size: int) -> bytes:
    data: bytes = file.read(size)
    if len(data) < size:
        raise OSError("the samples were cut off")
    return data


def _cpu_s(limit: float) -> int:
    return 10 + math.ceil(limit / 60)


def _wall_s(limit: float) -> float:
    return 3.0 * _cpu_s(limit)


# --- what runs in the server process and in its children ---


def serve(number: int) -> None:
    """Fork a child for each connection that comes in, until the program is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children leave nothing behind
    with socket.socket(fileno=number) as control:
        while True:
            _, files, *_ = socket.recv_fds(control, 1, 1)
            if not files:
                os.killpg(0, signal.SIGKILL)
            if os.fork() == 0:
                control.close()
                try:
                    _answer(socket.socket(fileno=files[0]))
                finally:
                    os._exit(0)
            os.close(files[0])


def _answer(connection: socket.socket) -> None:
    """Decode the one recording that is asked for."""
    file = connection.makefile("rb")
    request = json.loads(file.readline())
    source: bytes | str = request["path"] if "path" in request else file.read(request["bytes"])
    size = len(source) if isinstance(source, bytes) else _size(source)
    _set_limits(request["limit"], size)

    def write(samples: np.ndarray) -> None:
        if len(samples):
            connection.sendall(struct.pack("<I", samples.nbytes))
            connection.sendall(samples.data)

    try:
        reply = asdict(
            decode(source, request["limit"], request["track"], request["channel"], write)
        )
    except AudioError as error:
        reply = {"kind": error.kind, "sentence": str(error)}
    except MemoryError:
        reply = {"kind": "unreadable", "sentence": KILLED}
    connection.sendall(bytes(4) + json.dumps(reply).encode())


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def _set_limits(limit: float, size: int) -> None:
    """Let the kernel end this process when it takes too much."""
    statm = Path("/proc/self/statm")
    if statm.exists():  # on Linux; elsewhere memory is not limited
        taken = int(statm.read_text().split()[0]) * resource.getpagesize()
        memory = taken + MEMORY + INDEX * size
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_cpu_s(limit), _cpu_s(limit) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONTAINERS, CONTAINERS))
    signal.setitimer(signal.ITIMER_REAL, _wall_s(limit))
