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

from ..coalitions.segment import Segment, most_suspicious_segment
from ..explanation import Explanation

BIN = RATE // 100  # the map is drawn in steps of 10 ms
COMMON = np.linspace(0, RATE / 2, 65)  # edges in Hz on which a fusion's maps are added


def refusal(detector: Detector) -> str | None:
    """Why there is no map to look at, or None if there is one of bands by time."""
    if all(part.net.gradcam_layers() and hz_edges(part) for _, part in detector.parts):
        return None
    return "its network has no convolutional map of bands by time"


def attribute(detector: Detector, wave: Waveform, *, start_s: float | None = None) -> Explanation:
    """Map (bands, 10-ms steps) of the analysed segment, from one forward and one backward pass.

    A cell is the channel sum of activation times its channel's mean gradient, so the map adds up
    to about the logit where the head is near linear; no completeness is promised (residual and
    empty are NaN). The coarse map is interpolated to the front-end's bands. A repeated short clip
    gets the sum over its repeats. A fusion's map is its members' in bands of 125 Hz, weighed as
    their logits are. Raises ExplainError for a detector without such a map.
    """
    segment = most_suspicious_segment(detector, wave, start_s)
    maps, logits = zip(*(_map(part, segment) for _, part in detector.parts), strict=True)
    if detector.members:
        values, freqs = np.zeros(()), COMMON
        for (weight, member), own in zip(detector.parts, maps, strict=True):
            values = values + weight * _spread(np.array(hz_edges(member))) @ own
    else:
        values, freqs = maps[0], np.asarray(hz_edges(detector), dtype=np.float64)
    values, edges = own_time(values, segment)
    return Explanation(
        values=values,
        times=segment.seconds(edges),
        freqs=freqs,
        full=float(detector.combine(torch.tensor([logits]))),
        forwards=len(maps),
        notes=segment.notes,
    )


def _map(detector: Detector, segment: Segment) -> tuple[np.ndarray, float]:
    """One network's map (bands, steps of the window), and its logit."""
    with torch.no_grad():
        spectrogram = detector.frontend(segment.fill(segment.samples[None]))
    logits = []

    def net(spectrogram: Tensor) -> Tensor:
        logits.append(detector.net(spectrogram))
        return logits[-1]

    spectrogram = spectrogram.clone().requires_grad_()  # weights are frozen: gradients start here
    coarse = LayerGradCam(net, detector.net.gradcam_layers()[-1]).attribute(spectrogram)
    return resize(coarse.detach(), detector, segment), float(logits[-1].detach())


def _spread(edges: np.ndarray) -> np.ndarray:
    """(common bands, bands): the share of each band, between edges in Hz, in the common ones."""
    top, bottom = np.minimum(COMMON[1:, None], edges[1:]), np.maximum(COMMON[:-1, None], edges[:-1])
    return (top - bottom).clip(min=0) / np.diff(edges)


def hz_edges(detector: Detector) -> list[float] | None:
    """Where the bands meet: said by the front-end, or by a network with filters of its own."""
    return detector.frontend.hz_edges or detector.net.hz_edges


def resize(coarse: Tensor, detector: Detector, segment: Segment) -> np.ndarray:
    """(1, 1, rows, columns) -> (bands, steps of the window), keeping the sum over the map."""
    size = (len(hz_edges(detector) or ()) - 1, math.ceil(segment.window / BIN))
    fine = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    share = coarse.shape[2] * coarse.shape[3] / (size[0] * size[1])
    return (fine[0, 0] * share).double().numpy()


def own_time(columns: np.ndarray, segment: Segment) -> tuple[np.ndarray, np.ndarray]:
    """Sum what stands evenly across the window into 10-ms steps of the clip's own samples.

    columns (bands, c) -> values (bands, t), edges (t + 1,) in samples; repeats are folded.
    """
    n, c = len(segment.samples), columns.shape[1]
    edges = np.append(np.arange(0, n, BIN), n)
    centre = ((np.arange(c) + 0.5) * segment.window / c).astype(np.int64)
    values = np.zeros((len(edges) - 1, len(columns)))
    np.add.at(values, centre % n // BIN, columns.T)
    return values.T, edges
