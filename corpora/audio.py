"""The sound of a corpus: clips decoded to mono at 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from detectors.audio import RATE
from detectors.errors import HearsayError

from .manifest import Clip


def decode(path: Path) -> np.ndarray:
    """Audio file -> (n,) float32, mono, 16 kHz.

    Raises HearsayError for what is no audio file, or holds no samples or any that is not finite.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise HearsayError(f"{path} cannot be decoded: {error.error_string}") from error
    mono = samples.mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    if not len(mono):
        raise HearsayError(f"{path} is empty: it holds no sound.")
    if not np.isfinite(mono).all():
        raise HearsayError(f"{path} holds samples that are no finite numbers.")
    return mono


def decode_all(clips: Sequence[Clip]) -> list[np.ndarray]:
    """All clips as int16, which halves the memory: about 115 MB an hour."""
    return [
        np.round(np.clip(decode(c.path), -1, 1) * 32767).astype(np.int16)
        for c in tqdm(clips, desc="decoding", unit="clip", mininterval=5)
    ]
