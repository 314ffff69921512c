"""Keeping what the page serves warm and current, in the background."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detectors import registry
from detectors.audio import RATE, bare, speech_spans
from detectors.audio.worker import SERVER
from detectors.errors import HearsayError, reason
from detectors.pool import DetectorPool
from detectors.scoring import ScoringSession


def start(pool: DetectorPool, bundled: Sequence[Path]) -> threading.Thread:
    """Warm up, put the bundled detectors into the registry, then follow its champions.

    The pool serves the bundled detectors meanwhile. A registry out of reach is a notice of the
    pool, not the end of the page.
    """
    thread = threading.Thread(
        target=_start, args=(pool, bundled), name="hearsay-start", daemon=True
    )
    thread.start()
    return thread


def _start(pool: DetectorPool, bundled: Sequence[Path]) -> None:
    warm_up(pool)
    try:
        registry.seed(bundled)
    except (HearsayError, OSError) as error:  # the champions are followed all the same
        print(reason(error), file=sys.stderr)
    pool.watch()


def warm_up(pool: DetectorPool) -> None:
    """Let everything that a first recording would wait for run once."""
    SERVER.start()
    hiss = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    speech_spans(hiss)
    session = ScoringSession(bare(hiss))
    for _, detector in pool.detectors():
        session.score(detector)
