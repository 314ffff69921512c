"""What dev decides: how windows become a clip's score, the LLR's scale, threshold and band."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from detectors.audio import RATE
from detectors.detector import POOLINGS, Calibration, Detector, window_starts

from .manifest import Clip
from .metrics import (
    abstention_band,
    auc,
    cllr,
    cluster_bootstrap,
    eer,
    eer_threshold,
    fit_calibration,
)

# Less is noise on a few hundred clips, and the maximum over the many windows of a long recording
# raises more false alarms than short clips show.
WORTH = 0.01


def calibrate(
    detector: Detector, clips: Sequence[Clip], audio: Sequence[np.ndarray], split: str = "dev"
) -> tuple[Detector, np.ndarray]:
    """Fit pooling rule, calibration, threshold and abstention band on held-out clips.

    audio: one (n,) int16 array at 16 kHz a clip. The pooling rule is the mean unless another one's
    AUC is better by `WORTH`. Returns the calibrated detector, whose figures say how it does on
    these clips, and their LLRs (n,).
    """
    hop = round(detector.config.hop_s * RATE)
    windows = [
        detector.window_logits(x, window_starts(len(x), detector.config.window, hop))
        for x in tqdm(
            (a.astype(np.float32) / 32767 for a in audio), total=len(audio), desc="calibrating"
        )
    ]
    labels = np.array([c.is_spoof for c in clips], dtype=np.int64)
    pooled = {name: np.array([pool(w) for w in windows]) for name, pool in POOLINGS.items()}
    gain = {name: auc(scores, labels) - WORTH * (name != "mean") for name, scores in pooled.items()}
    pooling = max(gain, key=lambda name: gain[name])
    scale, offset = fit_calibration(pooled[pooling], labels)
    llr = scale * pooled[pooling] + offset
    calibration = Calibration(
        scale, offset, eer_threshold(llr, labels), abstention_band(llr, labels)
    )
    figures = {**detector.config.figures, split: _figures(llr, labels, clips)}
    config = dataclasses.replace(
        detector.config, pooling=pooling, calibration=calibration, figures=figures
    )
    return Detector(config, detector.net), llr


def _figures(llr: np.ndarray, labels: np.ndarray, clips: Sequence[Clip]) -> dict[str, Any]:
    interval = cluster_bootstrap(eer, llr, labels, [c.speaker for c in clips])
    return {
        "eer": eer(llr, labels),
        "eer_ci": list(interval),
        "auc": auc(llr, labels),
        "cllr": cllr(llr, labels),
        "clips": len(clips),
    }
