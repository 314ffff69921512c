"""Hostile sound files, seeded: what the reader of strangers' recordings has to live through.

    python -m tests.hostile [COUNT]     # reads COUNT files (500), and says how it went

Good files are cut, overwritten, stretched and glued together at random; the rest is built to make a
decoder take memory or time: indices of millions of samples, frames that decode to nothing, headers
that claim any rate, length and number of channels.
"""

from __future__ import annotations

import resource
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from sounds import every_format  # noqa: E402

from detectors.audio import AudioError, read  # noqa: E402


def hostile_files(count: int, folder: Path, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of `count` files; the good ones that they are made of are made in `folder`."""
    good = [data for name, data in every_format(folder).items() if name != "adpcm"]
    rng = np.random.default_rng(seed)
    kinds = (_cut, _overwritten, _repeated, _glued, _lying_wav, _empty_frames, _index, _noise)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield f"{number}-{kind.__name__[1:]}", kind(good, rng)


def _one(good: list[bytes], rng: np.random.Generator) -> bytes:
    return good[rng.integers(len(good))]


def _cut(good: list[bytes], rng: np.random.Generator) -> bytes:
    data = _one(good, rng)
    return data[: rng.integers(1, len(data))]


def _overwritten(good: list[bytes], rng: np.random.Generator) -> bytes:
    data = bytearray(_one(good, rng))
    for _ in range(rng.integers(1, 12)):
        start = int(len(data) * rng.random() ** 3)  # headers stand in front
        value = rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", rng.bytes(4)])
        data[start : start + 4] = bytes(value)
    return bytes(data)


def _repeated(good: list[bytes], rng: np.random.Generator) -> bytes:
    data = _one(good, rng)
    start, end = sorted(rng.integers(0, len(data), 2))
    return data[:end] + data[start:end] * int(rng.integers(2, 20)) + data[end:]


def _glued(good: list[bytes], rng: np.random.Generator) -> bytes:
    return _one(good, rng) + rng.bytes(int(rng.integers(0, 9))) + _one(good, rng)


def _lying_wav(good: list[bytes], rng: np.random.Generator) -> bytes:
    tag, bits = int(rng.choice([1, 2, 3, 6, 7, 17, 0xFFFE])), int(rng.choice([0, 4, 8, 16, 24, 64]))
    channels = int(rng.choice([0, 1, 2, 8, 9, 65_535]))
    rate = int(rng.choice([0, 1, 8_000, 16_000, 192_000, 0xFFFFFFFF]))
    form = struct.pack("<HHIIHH", tag, channels, rate, 0, int(rng.integers(0, 9)), bits)
    size = int(rng.choice([0, 1, 100, 0x7FFFFFFF, 0xFFFFFFFF]))
    data = rng.bytes(int(rng.integers(0, 40_000)))
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", size) + body


def _empty_frames(good: list[bytes], rng: np.random.Generator) -> bytes:
    """Many frames that say that they hold nothing: AMR, ADTS or Ogg."""
    count = int(rng.integers(10_000, 400_000))
    amr = b"#!AMR\n" + bytes([int(rng.choice([0x7C, 0x4C, 0x44, 0x3C]))]) * count
    adts = (bytes.fromhex("fff15040011ffc") + rng.bytes(1)) * (count // 8)
    ogg = (b"OggS\0\2" + bytes(20) + b"\0") * (count // 27)
    return (amr, adts, ogg)[rng.integers(3)]


def _index(good: list[bytes], rng: np.random.Generator) -> bytes:
    return mp4_index(int(rng.choice([1_000, 1_000_000, 80_000_000, 0xFFFFFFFF])), 1)


def _noise(good: list[bytes], rng: np.random.Generator) -> bytes:
    marks = [
        b"",
        b"fLaC",
        b"OggS",
        b"ID3\4",
        b"\xff\xfb\x90",
        b"\x1aE\xdf\xa3",
        b"#!AMR\n",
        b"caff",
    ]
    return bytes(rng.choice(np.array(marks, dtype=object))) + rng.bytes(int(rng.integers(0, 9_000)))


def mp4_index(samples: int, tracks: int) -> bytes:
    """Some hundred bytes of MP4 whose tables claim to index so many samples in each track."""

    def box(name: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return struct.pack(">I4s", 8 + len(content), name) + content

    config = bytes.fromhex("0319000100041140150000000001f4000001f40005021208060102")
    entry = bytes(6) + struct.pack(">H8xHHHHHH", 1, 1, 16, 0, 0, 44_100, 0)
    mp4a = box(b"mp4a", entry, box(b"esds", bytes(4) + config))
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), mp4a),
        box(b"stts", struct.pack(">IIII", 0, 1, samples, 1024)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, samples, 1)),
        box(b"stsz", struct.pack(">III", 0, 1, samples)),
        box(b"stco", struct.pack(">III", 0, 1, 32)),
    )
    reference = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", bytes(3) + b"\1")))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 44_100, 220_500, 0x55C4, 0)),
        box(b"hdlr", bytes(8) + b"soun" + bytes(13)),
        box(b"minf", box(b"smhd", bytes(8)), reference, table),
    )
    matrix = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    trak = [
        box(
            b"trak",
            box(b"tkhd", struct.pack(">6I16x", 7, 0, 0, n + 1, 0, 5000) + matrix + bytes(8)),
            media,
        )
        for n in range(tracks)
    ]
    movie = struct.pack(">IIIIIIH10x", 0, 0, 0, 1000, 5000, 1 << 16, 256) + matrix + bytes(24)
    movie = box(b"mvhd", movie + struct.pack(">I", 99))
    head = box(b"ftyp", b"M4A \0\0\0\0M4A mp42isom")
    return head + box(b"moov", movie, *trak) + box(b"mdat", bytes(64))


def memory_mb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Read so many hostile files; 1 if one gave anything else than a sentence or a recording."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    wrong = sentences = 0
    slowest, started = (0.0, ""), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        read(every_format(Path(folder))["wav"])  # everything is loaded
        before = memory_mb()
        for name, data in hostile_files(count, Path(folder)):
            begun = time.monotonic()
            try:
                read(data, max_seconds=600)
            except AudioError as error:
                sentences += 1
                if not str(error).endswith("."):
                    print(f"{name}: {error!r}")
                    wrong += 1
            except Exception as error:
                print(f"{name}: {error!r}")
                wrong += 1
            slowest = max(slowest, (time.monotonic() - begun, name))
    print(
        f"{count} files in {time.monotonic() - started:.0f} s: {sentences} sentences, "
        f"{count - sentences - wrong} recordings, {wrong} wrong; the slowest took "
        f"{slowest[0]:.1f} s ({slowest[1]}); memory {before:.0f} -> {memory_mb():.0f} MB"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
