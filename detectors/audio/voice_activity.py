"""Voice activity detection by silero-vad: where speech is."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

RATE = 16_000  # Hz, of every Waveform
VAD_LOCK = threading.Lock()  # silero's network keeps its state between frames


def speech_spans(samples: np.ndarray) -> list[tuple[float, float]]:
    """Where silero-vad hears speech in (n,) samples at 16 kHz: (start, end) in seconds.

    The samples are brought to one level first, so that the answer does not depend on the gain.
    Takes about 10 ms per second of sound.
    """
    import torch  # here, since it takes seconds

    rms = float(np.dot(samples, samples) / max(1, len(samples))) ** 0.5
    if not rms > 0:
        return []
    levelled = np.clip(samples * (0.05 / rms), -1, 1).astype(np.float32)
    with VAD_LOCK, _one_thread():
        model, timestamps = _silero()
        spans = timestamps(torch.from_numpy(levelled), model, sampling_rate=RATE)
    return [(span["start"] / RATE, span["end"] / RATE) for span in spans]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: frames of 32 ms are too small to share, least of all when busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def _silero() -> tuple[Any, Callable[..., list[dict[str, int]]]]:
    from silero_vad import get_speech_timestamps, load_silero_vad

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.load, which it uses
        return load_silero_vad(), get_speech_timestamps
