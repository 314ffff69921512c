"""Processes that end together: workers with their parent, and a command when it is told to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

ENDING = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def end_with_parent(*_: object) -> None:
    """Let this worker process end as soon as its parent is gone, even by SIGKILL; an initializer.

    A worker would else wait for work for ever. Ctrl-C, which reaches it too, ends it silently.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(parent: int) -> None:
    wait([parent])
    os._exit(1)


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Let what asks a process to end raise SystemExit, so that whatever is open gets closed.

    Signals that the caller ignores, as under nohup, or handles, stay as they are.
    """
    ours = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def is_running(process: int) -> bool:
    """Is there a process of this id on this machine?"""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of somebody else, or no id at all
        return True
    return True
