"""Grad-CAM (Selvaraju et al. 2017, eq. 1-2) on the last convolutional map, kept signed.

The original clips negative evidence away; here a cell may also speak for "real".
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector

from .explanation import ExplainError, Explanation
from .stretch import Stretch, decisive

BIN = RATE // 100  # the map is drawn in steps of 10 ms


def valid(detector: Detector) -> bool:
    """Does the network name a convolutional map whose rows are bands and columns are time?"""
    return hasattr(detector.net, "gradcam_layer") and _hz_edges(detector) is not None


def attribute(detector: Detector, wave: Waveform, *, start_s: float | None = None) -> Explanation:
    """Map (bands, 10-ms steps) of the decisive stretch, from one forward and one backward pass.

    A cell is the channel sum of activation times its channel's mean gradient, so the map adds up
    to about the logit where the head is near linear; no completeness is promised (residual and
    empty are NaN). The coarse map is interpolated to the front-end's bands. A repeated short clip
    gets the sum over its repeats. Raises ExplainError for a detector without such a map.
    """
    if not valid(detector):
        raise ExplainError(
            f"Grad-CAM needs a convolutional picture, which {detector.config.name} does not have."
        )
    stretch = decisive(detector, wave, start_s)
    filled = stretch.fill(stretch.samples[None])
    with torch.no_grad():
        picture = detector.frontend(filled)
    logits = []

    def net(picture: Tensor) -> Tensor:
        logits.append(detector.net(picture))
        return logits[-1]

    picture = picture.clone().requires_grad_()  # weights are frozen: gradients start here
    coarse = LayerGradCam(net, detector.net.gradcam_layer).attribute(picture)
    values, edges = _own_time(_resize(coarse.detach(), detector, stretch), stretch)
    return Explanation(
        method="gradcam",
        detector=detector.config.name,
        values=values,
        times=stretch.seconds(edges),
        freqs=np.asarray(_hz_edges(detector), dtype=np.float64),
        full=float(logits[-1].detach()),
        empty=math.nan,
        residual=math.nan,
        forwards=len(logits),
        notes=stretch.notes,
    )


def _hz_edges(detector: Detector) -> list[float] | None:
    """Where the bands meet: said by the front-end, or by a network with filters of its own."""
    edges = getattr(detector.frontend, "hz_edges", None)
    return getattr(detector.net, "hz_edges", None) if edges is None else edges


def _resize(coarse: Tensor, detector: Detector, stretch: Stretch) -> np.ndarray:
    """(1, 1, rows, columns) -> (bands, steps of the window), keeping the sum over the map."""
    size = (len(_hz_edges(detector) or ()) - 1, math.ceil(stretch.window / BIN))
    fine = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    share = coarse.shape[2] * coarse.shape[3] / (size[0] * size[1])
    return (fine[0, 0] * share).double().numpy()


def _own_time(fine: np.ndarray, stretch: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """Fold the window's steps onto the clip's own samples: values (bands, t), edges (t + 1,)."""
    n = len(stretch.samples)
    edges = np.append(np.arange(0, n, BIN), n)
    centre = (np.arange(fine.shape[1]) * BIN + BIN // 2).clip(max=stretch.window - 1)
    values = np.zeros((len(edges) - 1, len(fine)))
    np.add.at(values, centre % n // BIN, fine.T)
    return values.T, edges
