"""The clips of a manifest that a command works on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora.manifest import Clip, ManifestError, read_manifest

from ..explanation import ExplainError


def clips_of(
    manifest: Path,
    split: str | None = None,
    count: int | None = None,
    seed: int = 0,
    *,
    spoof: bool = True,
) -> list[Clip]:
    """Clips of a split (of all if None), `count` of them (all if None) in an order drawn by `seed`.

    More clips go on from fewer. spoof: False takes bona fide clips alone. Raises ExplainError for a
    manifest that cannot be used, or holds no such clip.
    """
    try:
        clips = [clip for clip in read_manifest(manifest, split) if spoof or not clip.is_spoof]
    except ManifestError as error:
        raise ExplainError(str(error)) from error
    if not clips:
        raise ExplainError(f"{manifest} holds no bona fide clips here.")
    order = np.random.default_rng(seed).permutation(len(clips))
    return [clips[i] for i in order[:count]]
