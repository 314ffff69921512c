"""`python -m training fakes`: copy synthesis of a manifest's bona fide clips, with a manifest."""

from __future__ import annotations

import csv
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from detectors.audio import RATE
from detectors.errors import HearsayError
from detectors.files import remove_scratch, whole

from .audio import MAX_UNREADABLE, read_clip, refuse_unreadable
from .fakers import FAKERS
from .manifest import Clip, read_manifest

COLUMNS = [
    "id", "path", "label", "split", "system", "family", "speaker", "language", "source", "original",
]  # fmt: skip
SHORTEST_S = 0.1  # the fakers' frames are up to 64 ms long


def make_copies(
    manifest: Path,
    split: str,
    fakers: Sequence[str],
    out: Path,
    seed: int = 0,
    max_unreadable: float = MAX_UNREADABLE,
) -> Path:
    """Copy every bona fide clip of a split by each faker into `out`; returns the new manifest.

    A copy keeps the clip's speaker and source, and Opus where the clip is stored as that (others
    become FLAC, which loses nothing), so that the vocoder is all that sets it apart. A file is
    named by what it is made of, so that what is there already is not made again and nothing stale
    is used. Clips under 0.1 s get no copy. Raises HearsayError for an unknown faker, for a bad
    manifest, and for one without a clip to copy or with more than the share `max_unreadable` that
    cannot be read.
    """
    unknown = sorted(set(fakers) - FAKERS.keys())
    if unknown:
        raise HearsayError(f"There is no faker '{unknown[0]}'; there are {', '.join(FAKERS)}.")
    clips = [c for c in read_manifest(manifest, split) if not c.is_spoof]
    out.mkdir(parents=True, exist_ok=True)
    remove_scratch(out)
    unreadable: dict[str, str] = {}
    rows = []
    for clip in tqdm(clips, unit="clip"):
        wave = read_clip(clip, unreadable)
        if wave is not None and len(wave.samples) >= SHORTEST_S * RATE:
            rows += [_copy(clip, wave.samples, faker, out, seed) for faker in fakers]
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    if not rows:
        raise HearsayError(
            f"{manifest} has no bona fide clips of the split {split!r} of {SHORTEST_S} s or "
            "more to copy."
        )
    with whole(out / "manifest.csv") as scratch, scratch.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return out / "manifest.csv"


def _copy(clip: Clip, x: np.ndarray, faker: str, out: Path, seed: int) -> dict[str, str]:
    """The row of a clip's copy, made from its samples if it is not there."""
    name = f"{Path(clip.id).name}-{zlib.crc32(clip.id.encode()):08x}-{faker}"
    opus = clip.codec == "opus"
    made_of = hashlib.sha256(x.tobytes() + f"{faker} {seed}".encode()).hexdigest()[:16]
    path = out / f"{name}-{made_of}.{'opus' if opus else 'flac'}"
    if not path.exists():
        rng = np.random.default_rng([seed, zlib.crc32(f"{clip.id}-{faker}".encode())])
        kind = {"format": "OGG", "subtype": "OPUS"} if opus else {"format": "FLAC"}
        audio = np.clip(FAKERS[faker](x, rng), -1, 1)
        # 0.86 is close to the 40 kbit/s at which such corpora are stored
        with whole(path) as scratch:
            soundfile.write(scratch, audio, RATE, compression_level=0.86 if opus else 0.5, **kind)
    return {
        "id": name,
        "path": path.name,
        "label": "spoof",
        "split": clip.split,
        "system": f"copy-{faker}",
        "family": "vocoder",
        "speaker": clip.speaker,
        "language": clip.language,
        "source": clip.source,
        "original": clip.id,
    }
