"""What dev decides: how windows become a clip's score, the LLR's scale, threshold and band."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, decode_all
from corpora.manifest import Clip, read_manifest
from detectors.audio import bare
from detectors.config import POOLINGS, Calibration, Config, pool
from detectors.detector import Detector, window_speech
from detectors.errors import HearsayError

from .conditions import degraded
from .intervals import eer_interval
from .metrics import abstention_band, auc, cllr, eer, eer_threshold, fit_calibration

# Less is noise on a few hundred clips, and the maximum over the many windows of a long recording
# raises more false alarms than short clips show.
WORTH = 0.01


def calibrate(
    detector: Detector,
    clips: Sequence[Clip],
    audio: Sequence[np.ndarray],
    split: str = "dev",
    worse: Sequence[np.ndarray] = (),
) -> tuple[Detector, np.ndarray]:
    """Fit pooling rule, calibration, threshold and abstention band on held-out clips.

    The pooling rule is the mean unless another one's AUC is better by `WORTH`.

    Args:
        audio: (n,) int16 at 16 kHz, one a clip.
        split: Under which the figures are kept.
        worse: The same clips as people send them, round by round (`conditions.degraded`): a verdict
            that is to hold on voice messages is calibrated on some.

    Returns:
        The calibrated detector, whose figures say how it does on the clips as they are, and their
        LLRs (n,).
    """
    windows = clip_windows(detector, [*audio, *worse])
    labels = [c.is_spoof for c in clips]
    pooled = {rule: np.array([pool(rule, *clip) for clip in windows]) for rule in POOLINGS}
    gain = {
        name: auc(scores[: len(clips)], labels) - WORTH * (name != "mean")
        for name, scores in pooled.items()
    }
    pooling = max(gain, key=lambda name: gain[name])
    config = dataclasses.replace(detector.config, pooling=pooling)
    config, llr = settle(config, pooled[pooling], clips, split)
    return Detector(config, detector.net, members=detector.members), llr


def calibrate_on(
    detector: Detector, manifest: Path, split: str = "dev", max_unreadable: float = MAX_UNREADABLE
) -> Detector:
    """The detector calibrated on a split of a manifest, as it is and degraded.

    Raises:
        HearsayError: The manifest cannot be used, or the split lacks a label.
    """
    clips, audio = decode_all(read_manifest(manifest, split), max_unreadable)
    if len({clip.is_spoof for clip in clips}) < 2:
        raise HearsayError(f"The split {split} of {manifest} needs bona fide and spoofed clips.")
    return calibrate(detector, clips, audio, split, degraded(clips, audio))[0]


def clip_windows(
    detector: Detector, audio: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Uncalibrated logits (windows,) of each clip, given as (n,) int16 at 16 kHz, and the speech_s
    (windows,) that they stand on."""
    found = []
    for clip in tqdm(audio, desc="calibrating"):
        wave = bare(clip.astype(np.float32) / 32767)
        starts = detector.starts(wave)
        logits = detector.window_logits(wave.samples, starts)
        found.append((logits, window_speech(wave, starts, detector.config.window)))
    return found


def settle(
    config: Config, scores: np.ndarray, clips: Sequence[Clip], split: str
) -> tuple[Config, np.ndarray]:
    """Config with the calibration that scores ask for, and its figures on the clips; LLRs (n,).

    scores: of the n clips, and after them of any number of rounds of them degraded.
    """
    labels = np.array([c.is_spoof for c in clips], dtype=np.int64)
    every = np.tile(labels, len(scores) // len(clips))
    scale, offset = fit_calibration(scores, every)
    llr = scale * scores + offset
    calibration = Calibration(scale, offset, eer_threshold(llr, every), abstention_band(llr, every))
    own = llr[: len(clips)]
    figures = {**config.figures, split: _figures(own, labels, clips)}
    return dataclasses.replace(config, calibration=calibration, figures=figures), own


def _figures(llr: np.ndarray, labels: np.ndarray, clips: Sequence[Clip]) -> dict[str, Any]:
    return {
        "eer": eer(llr, labels),
        "eer_ci": eer_interval(llr, labels, [c.speaker for c in clips]),
        "auc": auc(llr, labels),
        "cllr": cllr(llr, labels),
        "clips": len(clips),
    }
