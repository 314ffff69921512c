"""WAV and AIFF of plain samples: where these lie counts, not what a header claims.

They are found and decoded here, since headers lie in many ways: recorders that write to a pipe
promise 0, 2,000,000,000 or 0xFFFFFFFF bytes, others stop counting at some point or start a second
data chunk.

Source: Microsoft and IBM, Multimedia Programming Interface 1.0 (1991), "WAVE"; EBU Tech 3306 (2009)
for RF64; Apple, Audio Interchange File Format 1.3 (1989); ITU-T G.711 (1988) for the 8-bit laws.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

# Format tag and bits of a sample -> our name.
CODECS = {
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16",
    (1, 24): "pcm_s24",
    (1, 32): "pcm_s32",
    (3, 32): "pcm_f32",
    (3, 64): "pcm_f64",
    (6, 8): "pcm_alaw",
    (7, 8): "pcm_mulaw",
}
AIFF_CODECS = {1: "pcm_s8", 2: "pcm_s16", 3: "pcm_s24", 4: "pcm_s32"}  # by bytes
EXTENSIBLE = 0xFFFE  # the tag stands in the GUID
PLACEHOLDER = 1_000_000_000  # bytes: who promises so many and has them not did not know
AFTER_DATA = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX", b"cue ", b"smpl", b"fact")
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # that other formats' taggers append


@dataclass(frozen=True)
class Layout:
    """What a file holds: spans are (start, end) in bytes, promised counts seconds."""

    container: str
    order: str  # of bytes: "<" with the lowest first, or ">"
    codec: str
    rate: int
    channels: int
    spans: tuple[tuple[int, int], ...]
    promised: float | None
    notes: tuple[str, ...]

    @property
    def frame(self) -> int:
        """Bytes that one sample of every channel takes."""
        return _width(self.codec) * max(1, self.channels)

    @property
    def seconds(self) -> float:
        """Length of what is there."""
        return sum(end - start for start, end in self.spans) / (self.frame * max(1, self.rate))


def pcm_layout(file: BinaryIO) -> Layout | None:
    """Find format and samples of a WAV, RF64 or AIFF file.

    Returns:
        None for any other file, and one that is encoded as anything but plain samples, A-law or
        mu-law.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        container, order, skipped = "wav", "<", 0
    elif head[:4] == b"FORM" and head[8:] == b"AIFF":
        container, order, skipped = "aiff", ">", 8
    else:
        return None
    there = file.seek(0, io.SEEK_END)
    form: tuple[str, int, int] | None = None
    spans: list[tuple[int, int]] = []
    notes: list[str] = []
    promised, found, long = 0, False, 0
    for name, start, size in _chunks(file, there, order):
        if name in (b"fmt ", b"COMM", b"ds64"):
            file.seek(start)
            content = file.read(min(size, 40))
            if name == b"ds64":  # of RF64: the lengths that 32 bits cannot hold
                long = int.from_bytes(content[8:16], "little")
            elif form is None:
                form = _wav_format(content) if order == "<" else _aiff_format(content)
        if name not in (b"data", b"SSND") or form is None:
            continue
        if size == 0xFFFFFFFF and head[:4] != b"RIFF":
            size = long or size
        start, size = start + skipped, max(0, size - skipped)
        found = True
        end = min(start + size, there)
        if end < there and not _chunk_follows(file, end, there, order):
            known = "does not say how long it is" if size == 0 else "promises less than is there"
            notes.append(f"the header {known}: all that follows was read")
            end = there
        elif start + size > there and size >= PLACEHOLDER:
            notes.append("the header does not say how long it is: all that follows was read")
        elif start + size > there:
            promised = start + size - there
        if end > start:
            spans.append((start, end))
        if end == there:
            break
    if form is None or not found:
        return None
    if len(spans) > 1:
        notes.append(f"{len(spans)} data chunks: all were read")
    layout = Layout(container, order, *form, tuple(spans), None, tuple(notes))
    missing = promised / (layout.frame * max(1, layout.rate))
    return replace(layout, promised=layout.seconds + missing)


def pcm_blocks(file: BinaryIO, layout: Layout, frames: int) -> Iterator[np.ndarray]:
    """Decode to blocks of (n, channels) float32 with n up to `frames`; full scale is 1."""
    width, size = _width(layout.codec), layout.frame
    for start, end in layout.spans:
        file.seek(start)
        left = (end - start) // size * size
        while left and (data := file.read(min(left, frames * size))):
            left -= len(data)
            data = data[: len(data) // size * size]
            yield _decoded(data, layout.codec, width, layout.order).reshape(-1, layout.channels)


def _decoded(data: bytes, codec: str, width: int, order: str) -> np.ndarray:
    if codec in ("pcm_alaw", "pcm_mulaw"):
        table = ALAW if codec == "pcm_alaw" else MULAW
        return table[np.frombuffer(data, np.uint8)]
    if codec == "pcm_u8":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:  # as the upper bytes of 32 bits
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        lowest_first = 1 if order == "<" else -1
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, ::lowest_first]
        return wide.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    kind = "f" if codec[4] == "f" else "i"
    samples = np.frombuffer(data, f"{order}{kind}{width}")
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is refused
        full_scale = 1.0 if kind == "f" else 2.0 ** (8 * width - 1)
        return samples.astype(np.float32) / np.float32(full_scale)


def scaled(x: np.ndarray) -> np.ndarray:
    """Any real samples as float32, integers scaled by their type's range to [-1, 1]."""
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is refused
            return x.astype(np.float32)
    half = 2.0 ** (8 * x.dtype.itemsize - 1)
    zero = half if x.dtype.kind == "u" else 0.0
    wide: np.ndarray = x.astype(np.float64 if x.dtype.itemsize > 2 else np.float32)
    return ((wide - zero) / half).astype(np.float32)


def _law(segments: np.ndarray, steps: np.ndarray, a: bool) -> np.ndarray:
    """Level of each code of 4 bits in each segment of a law of G.711."""
    if a:
        level = np.where(
            segments, (steps * 16 + 264) << np.maximum(segments - 1, 0), steps * 16 + 8
        )
    else:
        level = ((steps * 8 + 132) << segments) - 132
    return level.astype(np.float32) / 32768


def _table(flip: int, a: bool) -> np.ndarray:
    code = np.arange(256) ^ flip
    level = _law(code >> 4 & 7, code & 15, a)
    return np.where(code & 128, level, -level) if a else np.where(code & 128, -level, level)


ALAW, MULAW = _table(0x55, True), _table(0xFF, False)


def _wav_format(chunk: bytes) -> tuple[str, int, int] | None:
    """Codec, rate and channels of a format chunk, None where it is none that is decoded here."""
    if len(chunk) < 16:
        return None
    tag, channels, rate, speed, align, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == EXTENSIBLE:
        tag = int.from_bytes(chunk[24:26], "little")
    told = speed == rate * align or not bits  # else one of the three fields lies
    if channels and align and align % channels == 0 and told:  # 20 bits are stored in 24
        bits = max(bits, align // channels * 8)
    bits = (bits + 7) // 8 * 8
    codec = CODECS.get((tag, bits))
    return (codec, rate, channels) if codec else None


def _aiff_format(chunk: bytes) -> tuple[str, int, int] | None:
    """The same of AIFF, whose sample rate is a float of 80 bits."""
    if len(chunk) < 18:
        return None
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", chunk[:18])
    codec = AIFF_CODECS.get((bits + 7) // 8)
    if codec is None or not 16_383 <= exponent < 16_383 + 31:
        return None
    return codec, round(mantissa / 2 ** (16_383 + 63 - exponent)), channels


def _width(codec: str) -> int:
    return 1 if codec.endswith("law") else int(codec[5:]) // 8


def _chunks(file: BinaryIO, there: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The name, position and size of each chunk, even of one that reaches beyond the end."""
    start = 12
    for _ in range(1000):
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = struct.unpack(f"{order}4sI", header)
        yield name, start + 8, size
        start += 8 + size
        if start < there and size % 2 and not _is_chunk(file, start, there, order):
            start += 1  # chunks of odd size are padded, by most


def _chunk_follows(file: BinaryIO, place: int, there: int, order: str) -> bool:
    """Whether the data end where their header says so: with the file, a chunk or a tag."""
    file.seek(place)
    rest = file.read(9)
    if len(rest) < 9 or rest.startswith(TAGS):
        return True
    return any(_is_chunk(file, start, there, order) for start in (place, place + 1))


def _is_chunk(file: BinaryIO, place: int, there: int, order: str) -> bool:
    file.seek(place)
    header = file.read(8)
    if len(header) < 8:
        return False
    name, size = struct.unpack(f"{order}4sI", header)
    printable = all(32 <= byte < 127 for byte in name)
    return name in AFTER_DATA or (
        printable and (size <= there - place - 8 or name in (b"data", b"SSND"))
    )
