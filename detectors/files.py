"""Files written whole or not at all, and their SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import HearsayError
from .processes import is_running


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_scratch(folder: Path) -> None:
    """Remove what processes that are gone were writing into a folder when they were killed."""
    for path in folder.glob(".*.*"):
        process = path.suffix.removeprefix(".")
        if process.isdecimal() and not is_running(int(process)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to that becomes `path` if all goes well, so nobody meets half a file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write text or bytes, whole or not at all; HearsayError says why it cannot be written."""
    try:
        with whole(path) as scratch:
            scratch.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise HearsayError(f"{path} cannot be written: {error.strerror}.") from error
