"""Reads a manifest, a CSV with one audio file a row, into a list of clips.

Only `path`, `label` and `speaker` must be there; paths are relative to the manifest's folder.
The other columns (id, split, system, family, language, source, seconds, codec, year, original)
have defaults, and columns that nobody here needs are left alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.errors import HearsayError

REQUIRED = ("path", "label", "speaker")
LABELS = {
    "bonafide": "bonafide",
    "bona-fide": "bonafide",
    "bona fide": "bonafide",
    "real": "bonafide",
    "spoof": "spoof",
    "fake": "spoof",
}
DELIMITERS = ",;\t"
UNKNOWN = "unknown"  # the system and family of a spoof whose row does not name them


@dataclass(frozen=True)
class Clip:
    """One audio file and what is known of it."""

    id: str
    path: Path  # absolute
    label: str  # "bonafide" | "spoof"
    split: str = ""
    system: str = "bonafide"  # what made the spoof
    family: str = "bonafide"
    speaker: str = ""
    language: str = ""
    source: str = ""  # "repository" or "repository#part"
    seconds: float | None = None
    codec: str = ""
    year: str = ""  # of the system, or of the page that published it
    original: str = ""  # id of the recording that this is a copy of

    @property
    def is_spoof(self) -> bool:
        return self.label == "spoof"

    @property
    def repository(self) -> str:
        """The source without its part: what stands before '#'."""
        return self.source.partition("#")[0]


def read_manifest(path: str | Path, split: str | None = None) -> list[Clip]:
    """Read the clips of a manifest, or those of one split, in the order of the file.

    Labels may be bonafide, bona-fide or real, and spoof or fake. An empty speaker is named after
    its source, or, where there is none, after the clip, so that every such clip stands alone.
    Raises HearsayError when the file, a needed column, a label or an audio file is not as it
    should be, when two clips share an id, and when nothing is left.
    """
    path = Path(path)
    rows = _rows(path)
    folder = Path(os.path.abspath(path.parent))
    clips = [_clip(row, folder, f"{path}, row {n}") for n, row in rows.items()]
    if not clips:
        raise HearsayError(f"The manifest {path} holds no clips.")
    seen: set[str] = set()
    for clip in clips:
        if clip.id in seen:
            raise HearsayError(f"The manifest {path} has two clips with the id {clip.id!r}.")
        seen.add(clip.id)
    if split is not None:
        splits = sorted({clip.split for clip in clips if clip.split})
        clips = [clip for clip in clips if clip.split == split]
        if not clips:
            there = f"it has {', '.join(splits)}" if splits else "none of its clips names a split"
            raise HearsayError(f"The manifest {path} has no clips of the split {split!r}: {there}.")
    missing = [clip.path for clip in clips if not _is_file(clip.path)]
    if missing:
        raise HearsayError(
            f"{len(missing)} of {len(clips)} audio files of {path} are missing, "
            f"the first is {missing[0]}."
        )
    return clips


def sample(
    manifest: Path, split: str | None, count: int | None, seed: int = 0, label: str | None = None
) -> list[Clip]:
    """`count` clips of a split in an order that `seed` draws, so that more go on from fewer.

    split, count, label: None takes all. Raises HearsayError for a manifest that cannot be used, or
    holds no such clip.
    """
    clips = [clip for clip in read_manifest(manifest, split) if label in (None, clip.label)]
    if not clips:
        raise HearsayError(f"{manifest} holds no {label} clips here.")
    order = np.random.default_rng(seed).permutation(len(clips))
    return [clips[i] for i in order[:count]]


def corpus_hash(clips: Sequence[Clip]) -> str:
    """SHA-256 (64 hex digits) over what the clips are, whatever their order and folder.

    Counts id, label, split, system, family, speaker and source; the audio itself is not read.
    """
    lines = sorted(
        json.dumps([c.id, c.label, c.split, c.system, c.family, c.speaker, c.source]) for c in clips
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(path: Path) -> dict[int, dict[str, str]]:
    """Number -> {column: stripped text} of each row that is not empty; the columns are checked.

    Fields may be set apart by commas, semicolons or tabs, as spreadsheets of some languages do.
    """
    try:
        data = path.read_bytes()
        # spreadsheets write a byte order mark, and "Unicode text" as UTF-16
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = data.decode(encoding)
        delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) or [[]]
    except FileNotFoundError:
        raise HearsayError(f"There is no manifest at {path}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HearsayError(f"The manifest {path} cannot be read as CSV: {error}.") from error
    columns = [column.strip() for column in header]
    absent = [column for column in REQUIRED if column not in columns]
    if absent:
        raise HearsayError(
            f"The manifest {path} lacks the column {absent[0]!r}; "
            f"it needs at least {', '.join(REQUIRED)}."
        )
    twice = [column for column in columns if column and columns.count(column) > 1]
    if twice:
        raise HearsayError(f"The manifest {path} has the column {twice[0]!r} twice.")
    return {
        number: _fields(row, columns, f"{path}, row {number}")
        for number, row in enumerate(rows, start=1)
        if any(field.strip() for field in row)
    }


def _fields(row: list[str], columns: list[str], where: str) -> dict[str, str]:
    surplus = [field for field in row[len(columns) :] if field.strip()]
    if surplus:
        raise HearsayError(
            f"{where}: there are {len(row)} fields for {len(columns)} columns; put a field that "
            'holds a comma in quotes, as in "Smith, John".'
        )
    fields = [*(field.strip() for field in row), *[""] * len(columns)]
    return dict(zip(columns, fields, strict=False))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _clip(row: dict[str, str], folder: Path, where: str) -> Clip:
    label = LABELS.get(row["label"].lower())
    if label is None:
        raise HearsayError(
            f"{where}: the label {row['label']!r} is neither bonafide (or real) "
            "nor spoof (or fake)."
        )
    if not row["path"]:
        raise HearsayError(f"{where}: the path is empty.")
    name = row.get("id") or row["path"]
    source = row.get("source", "")
    made_by = UNKNOWN if label == "spoof" else label
    return Clip(
        id=name,
        path=Path(os.path.abspath(folder / row["path"])),
        label=label,
        split=row.get("split", ""),
        system=row.get("system") or made_by,
        family=row.get("family") or made_by,
        speaker=row["speaker"] or source or name,
        language=row.get("language", ""),
        source=source,
        seconds=_seconds(row.get("seconds", ""), where),
        codec=row.get("codec", ""),
        year=row.get("year", ""),
        original=row.get("original", ""),
    )


def _seconds(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise HearsayError(f"{where}: {text!r} is not a length in seconds.")
    return seconds


def originals(clips: Sequence[Clip]) -> dict[int, int]:
    """Index of each copy (see `copies`) -> index of the recording that it was made of."""
    at = {c.id: i for i, c in enumerate(clips) if not c.is_spoof}
    return {i: at[c.original] for i, c in enumerate(clips) if c.is_spoof and c.original in at}
