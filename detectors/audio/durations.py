"""What the ends and first frames of sound files say; the file stays at the place where it stood."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Seekable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


@contextmanager
def _place_kept(file: Seekable) -> Iterator[None]:
    position = file.tell()
    yield
    file.seek(position)


def ogg_ends(file: Seekable) -> bool:
    """Whether the last page of an Ogg file carries the mark of a stream's end."""
    with _place_kept(file):
        file.seek(max(0, file.seek(0, io.SEEK_END) - 65_307))  # the largest page
        tail = file.read()
    page = tail.rfind(b"OggS")
    return 0 <= page < len(tail) - 5 and bool(tail[page + 5] & 4)


def mp3_promise(file: Seekable, rate: int) -> float | None:
    """Seconds that the first frame of an MP3 claims, padding included; None where it is silent."""
    with _place_kept(file):
        file.seek(0)
        head = file.read(10)
        # a tag comes first; its size has 7 bits a byte
        size = sum((byte & 0x7F) << (21 - 7 * i) for i, byte in enumerate(head[6:10]))
        file.seek(10 + size if head[:3] == b"ID3" else 0)
        frame = file.read(64)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    fields = frame[at + 4 : at + 12]  # which are there, and the number of frames
    if at < 0 or len(fields) < 8 or not fields[3] & 1:
        return None
    return int.from_bytes(fields[4:]) * (1152 if rate >= 32_000 else 576) / rate
