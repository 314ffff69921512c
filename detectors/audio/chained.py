"""Files that hold one recording behind another: chained Ogg streams, and FLAC joined to FLAC.

FFmpeg stops, or decodes noise, where the second one is of another rate or number of channels; each
by itself it reads. MP3 and AAC need no such care: each of their frames says what it is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

MOST = 1000  # recordings in a file
FLAC = b"fLaC\x00\x00\x00\x22"  # its mark and the start of its first block


class Section(io.RawIOBase):
    """Bytes from start to end of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._size = file, start, end - start
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        self._file.seek(self._start + self._place)
        data = self._file.read(left if size < 0 else min(size, left))
        self._place += len(data)
        return data


def recordings(file: BinaryIO) -> list[Section]:
    """Every recording of a file, mostly one."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(len(FLAC))
    starts = [0]
    if head[:4] == b"OggS":
        starts = _ogg_starts(file)
    elif head == FLAC:
        starts = _flac_starts(file)
    starts = starts[:MOST]
    return [Section(file, a, b) for a, b in zip(starts, [*starts[1:], end], strict=True)]


def missing_pages(file: BinaryIO) -> int:
    """How many pages of an Ogg file are lost, by their numbers; none behind a stream's headers.

    Who begins to record a broadcast has its headers and then what is on the air.
    """
    missing = 0
    last: dict[bytes, tuple[int, bool]] = {}  # stream -> number of its page, and whether of headers
    for _, page in _ogg_pages(file):
        stream, number = page[14:18], int.from_bytes(page[18:22], "little")
        before, of_headers = last.get(stream, (number, True))
        begins = bool(page[5] & 2)
        if not (begins or of_headers):
            missing += max(0, number - before - 1)
        last[stream] = number, begins or int.from_bytes(page[6:14], "little") == 0
    return missing


def _ogg_starts(file: BinaryIO) -> list[int]:
    """Where a page that begins a stream follows one that does not."""
    starts, beginning = [0], True
    for place, page in _ogg_pages(file):
        begins = bool(page[5] & 2)
        if begins and not beginning:
            starts.append(place)
        beginning = begins
    return starts


def _ogg_pages(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The place and the header of each page, whatever lies between them."""
    end, place = file.seek(0, io.SEEK_END), 0
    while 0 <= place < end:
        file.seek(place)
        page = file.read(27 + 255)
        if page[:4] != b"OggS" or len(page) < 27:
            place = _find(file, b"OggS", place + 1)
            continue
        yield place, page
        place += 27 + page[26] + sum(page[27 : 27 + page[26]])


def _flac_starts(file: BinaryIO) -> list[int]:
    starts = [0]
    while len(starts) < MOST and (place := _find(file, FLAC, starts[-1] + 1)) >= 0:
        starts.append(place)
    return starts


def _find(file: BinaryIO, mark: bytes, place: int) -> int:
    """Position of the next mark from a place on, -1 if there is none."""
    file.seek(place)
    kept = b""
    while data := file.read(1 << 20):
        at = (kept + data).find(mark)
        if at >= 0:
            return place - len(kept) + at
        place += len(data)
        kept = (kept + data)[1 - len(mark) :]
    return -1
