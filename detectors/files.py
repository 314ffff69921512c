"""Files written whole or not at all, and their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import HearsayError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
