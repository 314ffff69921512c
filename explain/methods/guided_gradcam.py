"""Guided Grad-CAM (Selvaraju et al. 2017, section 3.3): where Grad-CAM looks, in fine detail.

Gradients that only pass where a ReLU was on and evidence was positive (guided backpropagation,
Springenberg et al. 2015) are sharp but say the same for every class; Grad-CAM says which class, but
coarsely. Both signs are kept: cells with a positive map take the gradients of the logit, cells with
a negative one those of its opposite.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, LayerGradCam
from torch import Tensor, nn

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.segment import most_suspicious_segment
from ..explanation import ExplainError, Explanation
from . import gradcam
from .gradcam import hz_edges, own_time


class Opposite(nn.Module):
    """The logit for "real" of a network whose logit is for "fake"."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, spectrogram: Tensor) -> Tensor:
        return -self.net(spectrogram)


def refusal(detector: Detector) -> str | None:
    """Why there is nothing to guide, or None."""
    if detector.members:
        return "it weighs several networks"
    if not any(isinstance(module, nn.ReLU) for module in detector.net.modules()):
        return "its network has no ReLU, by which gradients are guided"
    return gradcam.refusal(detector)


def attribute(
    detector: Detector, wave: Waveform, *, layers: int = 3, start_s: float | None = None
) -> Explanation:
    """Map (bands, 10-ms steps) of the analysed segment: guided gradients, weighed by Grad-CAM.

    layers: Grad-CAM is taken of the last so many maps of the network (`gradcam_layers`), each
    normalised to a peak of one before they are summed, or else the layer with the largest numbers
    would be the only one seen. Values are logits for each unit of the
    spectrogram; no completeness is promised (residual and empty are NaN). Raises ExplainError.
    """
    if layers < 1:
        raise ExplainError(f"layers is a number from 1, not {layers}.")
    segment = most_suspicious_segment(detector, wave, start_s)
    with torch.no_grad():
        spectrogram = detector.frontend(segment.fill(segment.samples[None]))
        full = float(detector.net(spectrogram))
    chosen = detector.net.gradcam_layers()[-layers:]
    spectrogram = spectrogram.clone().requires_grad_()
    with _out_of_place(detector.net):
        where = torch.zeros_like(spectrogram)
        for layer in chosen:
            coarse = LayerGradCam(detector.net, layer).attribute(spectrogram).detach()
            fine = F.interpolate(
                coarse, spectrogram.shape[2:], mode="bilinear", align_corners=False
            )
            where += fine / (fine.abs().max().clamp_min(1e-12) * len(chosen))
        with warnings.catch_warnings(action="ignore"):  # captum says that it hooks the ReLUs
            fake = GuidedBackprop(detector.net).attribute(spectrogram).detach().abs()
            real = GuidedBackprop(Opposite(detector.net)).attribute(spectrogram).detach().abs()
    found = where * torch.where(where > 0, fake, real)
    values, edges = own_time(found[0, 0].double().numpy(), segment)
    return Explanation(
        values=values,
        times=segment.seconds(edges),
        freqs=np.asarray(hz_edges(detector), dtype=np.float64),
        full=full,
        forwards=3 + len(chosen),
        notes=segment.notes,
    )


@contextmanager
def _out_of_place(net: nn.Module) -> Iterator[None]:
    """Let ReLUs write to new memory for a while: captum's hooks cannot see what was overwritten."""
    changed = [m for m in net.modules() if isinstance(m, nn.ReLU) and m.inplace]
    try:
        for module in changed:
            module.inplace = False
        yield
    finally:
        for module in changed:
            module.inplace = True
