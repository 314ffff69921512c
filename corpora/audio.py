"""The sound of a corpus, read as the page reads it; a label says what a clip is, not its speech."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from detectors.audio import AudioError, Waveform, read
from detectors.errors import HearsayError

from .manifest import Clip

MAX_UNREADABLE = 0.05  # share of a corpus's clips that may be damaged before it is not used


def read_clip(clip: Clip, unreadable: dict[str, str]) -> Waveform | None:
    """Read a clip, however short and whether speech is heard in it or not.

    Args:
        clip: Of a manifest.
        unreadable: id -> reason; a clip that cannot be read is added, and named on stderr.

    Returns:
        None for a clip that cannot be read.
    """
    try:
        return read(clip.path, require_speech=False)
    except AudioError as error:
        leave_out(clip, error, unreadable)
        return None


def leave_out(clip: Clip, error: HearsayError, left_out: dict[str, str]) -> None:
    """Add a clip's id and the reason to those that are left out, and name it on stderr."""
    left_out[clip.id] = str(error)
    tqdm.write(f"{clip.path} was left out: {error}", file=sys.stderr)


def refuse_unreadable(unreadable: dict[str, str], clips: int, most: float = MAX_UNREADABLE) -> None:
    """Raise HearsayError if more than the share `most` of so many clips could not be read."""
    if len(unreadable) > most * clips:
        name, reason = next(iter(unreadable.items()))
        raise HearsayError(
            f"{len(unreadable)} of {clips} clips cannot be read, more than the share of {most:g} "
            f"that --max-unreadable allows; the first is {name}: {reason}"
        )


def decode_all(
    clips: Sequence[Clip], max_unreadable: float = MAX_UNREADABLE
) -> tuple[list[Clip], list[np.ndarray]]:
    """Read all clips.

    Args:
        clips: Of a manifest.
        max_unreadable: Share of them that may be unreadable.

    Returns:
        The clips that can be read, and their samples as int16 at 16 kHz, which halves the memory:
        about 115 MB an hour.

    Raises:
        HearsayError: More cannot be read.
    """
    unreadable: dict[str, str] = {}

    def one(clip: Clip) -> np.ndarray | None:
        wave = read_clip(clip, unreadable)
        return None if wave is None else np.round(wave.samples * 32767).astype(np.int16)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        every = pool.map(one, clips)
        bar = tqdm(every, desc="decoding", total=len(clips), unit="clip", mininterval=5)
        there = [(c, x) for c, x in zip(clips, bar, strict=True) if x is not None]
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    return [clip for clip, _ in there], [x for _, x in there]
