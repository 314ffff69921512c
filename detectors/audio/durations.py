"""What the headers of sound files say and promise; the file stays at the place where it stood."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def _place_kept(file: BinaryIO) -> Iterator[None]:
    position = file.tell()
    yield
    file.seek(position)


def _wav_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The name, position and size of the first chunks of a WAV file; none of any other file."""
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    start = 12
    for _ in range(32):
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = struct.unpack("<4sI", header)
        yield name, start + 8, size
        start += 8 + size + size % 2


def wav_tag(file: BinaryIO) -> int:
    """The format tag of a WAV file whose format comes first (padding aside), 0 for any other.

    Files of a more adventurous order are left to FFmpeg, lest libsndfile finds another format
    chunk than the one checked here.
    """
    chunk = b""
    with _place_kept(file):
        for name, start, size in _wav_chunks(file):
            if name == b"JUNK" and size % 2 == 0:
                continue
            if name == b"fmt ":
                file.seek(start)
                chunk = file.read(min(size, 40))
            break
    tag = int.from_bytes(chunk[:2], "little")
    return int.from_bytes(chunk[24:26], "little") if tag == 0xFFFE else tag  # extensible: GUID


def endless_wav(file: BinaryIO) -> bool:
    """Whether sound follows a WAV header that promises none: its recorder was cut off."""
    with _place_kept(file):
        data = next((chunk[1:] for chunk in _wav_chunks(file) if chunk[0] == b"data"), None)
        file.seek(4)
        end = 8 + int.from_bytes(file.read(4), "little")
        there = file.seek(0, io.SEEK_END)
    # a recording that is truly empty may be followed by tags, which the file's own length counts
    return data is not None and data[1] == 0 and data[0] < there != end


def wav_promise(file: BinaryIO) -> float:
    """How many times the sound that is there a WAV header promises; 1 where it is all there."""
    promise = 1.0
    with _place_kept(file):
        there = file.seek(0, io.SEEK_END)
        for name, start, size in _wav_chunks(file):
            if name == b"data" and start < there < start + size:
                # Recorders that write to a pipe promise 2 or 4 GB, for want of knowing better.
                promise = size / (there - start) if size < 0x7FFF0000 else 1.0
    return promise


def ogg_ends(file: BinaryIO) -> bool:
    """Whether the last page of an Ogg file carries the mark of a stream's end."""
    with _place_kept(file):
        file.seek(max(0, file.seek(0, io.SEEK_END) - 65_307))  # the largest page
        tail = file.read()
    page = tail.rfind(b"OggS")
    return 0 <= page < len(tail) - 5 and bool(tail[page + 5] & 4)


def mp3_promise(file: BinaryIO, rate: int) -> float | None:
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
