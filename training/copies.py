"""`python -m training fakes`: copy synthesis of a manifest's bona fide clips, with a manifest."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from detectors.runtime import whole

from .config import ConfigError
from .data import decode
from .fakes import FAKERS
from .manifest import Clip, read_manifest

COLUMNS = ["id", "path", "label", "split", "system", "family", "speaker", "language", "source"]


def make_copies(
    manifest: Path, split: str, fakers: Sequence[str], out: Path, seed: int = 0
) -> Path:
    """Copy every bona fide clip of a split by each faker into `out`; returns the new manifest.

    A copy keeps the clip's speaker and source and the storage codec, so that the vocoder is all
    that sets it apart. What is already there is not made again. Raises ConfigError for an
    unknown faker, ManifestError for a bad manifest.
    """
    unknown = sorted(set(fakers) - FAKERS.keys())
    if unknown:
        raise ConfigError(f"There is no faker '{unknown[0]}'; there are {', '.join(FAKERS)}.")
    clips = [c for c in read_manifest(manifest, split) if not c.is_spoof]
    out.mkdir(parents=True, exist_ok=True)
    work = [(c, f) for f in fakers for c in clips]
    rows = [_copy(clip, faker, out, seed) for clip, faker in tqdm(work, unit="copy")]
    with whole(out / "manifest.csv") as scratch, scratch.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return out / "manifest.csv"


def _copy(clip: Clip, faker: str, out: Path, seed: int) -> dict[str, str]:
    name = f"{Path(clip.id).name}-{faker}"
    opus = clip.codec == "opus"
    path = out / f"{name}.{'opus' if opus else 'flac'}"
    if not path.exists():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        kind = {"format": "OGG", "subtype": "OPUS"} if opus else {"format": "FLAC"}
        audio = np.clip(FAKERS[faker](decode(clip.path), rng), -1, 1)
        # 0.86 is close to the 40 kbit/s at which such corpora are stored
        with whole(path) as scratch:
            soundfile.write(scratch, audio, 16_000, compression_level=0.86 if opus else 0.5, **kind)
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
    }
