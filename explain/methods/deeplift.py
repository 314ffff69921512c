"""DeepLIFT (Shrikumar et al. 2017, rescale rule) by captum, for networks that its rules cover.

Captum attaches the rule to modules: an activation written as a function is passed over in silence,
a module that is used twice mixes up its two inputs, and the result no longer adds up. So the
network is traced first, and what the rules do not cover is refused with the reason.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from captum.attr import DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import fx, nn

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.masking import baseline as fill_in
from ..coalitions.segment import most_suspicious_segment
from ..explanation import Explanation
from .gradcam import hz_edges, own_time

LINEAR_MODULES = (
    nn.modules.conv._ConvNd, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, nn.Flatten,
    nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.Identity,
)  # fmt: skip
LINEAR = {
    "add", "sub", "neg", "mean", "sum", "cat", "stack", "flatten", "view", "reshape", "squeeze",
    "unsqueeze", "transpose", "permute", "movedim", "contiguous", "getitem", "unbind", "size",
    "getattr",
}  # fmt: skip
PRODUCTS = {"mul", "matmul"}  # linear as long as one factor is a constant


def refusal(detector: Detector) -> str | None:
    """Why DeepLIFT's rules do not hold in this network, or None if they do."""
    if detector.members:
        return "it weighs several networks"
    try:
        graph = fx.Tracer().trace(detector.net)
    except Exception:  # whatever a network's own code says to a stand-in for its input
        return "its network cannot be traced, so nothing says that the rules hold"
    used: set[str] = set()
    for node in graph.nodes:
        if node.op == "call_module":
            module = detector.net.get_submodule(str(node.target))
            if type(module) in SUPPORTED_NON_LINEAR:
                if str(node.target) in used:
                    return f"its network uses the module '{node.target}' more than once"
                used.add(str(node.target))
            elif not isinstance(module, LINEAR_MODULES):
                return (
                    f"it has no rule for {type(module).__name__}, of which '{node.target}' is one"
                )
        elif node.op in ("call_function", "call_method") and not _linear(node):
            return (
                f"its network computes '{_name(node)}' outside of a module, where no rule applies"
            )
    return None


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    baseline: str = "noise",
    seed: int = 0,
    start_s: float | None = None,
) -> Explanation:
    """Contributions to the logit against a baseline's, from one forward and one backward pass.

    Where the network reads a spectrogram: (bands, 10-ms steps) of its cells, which begin
    behind the front-end; else (10-ms steps,) of the samples. They add up to full - empty, the
    logits of the clip and of the baseline (see `masking.baseline`); residual says how well. Raises
    ExplainError, with the reason, for a network that the rules do not cover.
    """
    segment = most_suspicious_segment(detector, wave, start_s)
    behind = fill_in(segment.samples, baseline, seed)
    with torch.no_grad():
        clip, silent = (detector.frontend(segment.fill(x[None])) for x in (segment.samples, behind))
        full, empty = float(detector.net(clip)), float(detector.net(silent))
    with warnings.catch_warnings(action="ignore"):  # captum says that it hooks the activations
        found = DeepLift(detector.net).attribute(clip.clone().requires_grad_(), silent).detach()
    edges_hz = hz_edges(detector) if found.ndim == 4 else None
    cells = found[0, 0] if edges_hz else found[:1].reshape(1, -1)
    values, edges = own_time(cells.double().numpy(), segment)
    return Explanation(
        values=values if edges_hz else values[0],
        times=segment.seconds(edges),
        freqs=np.asarray(edges_hz, dtype=np.float64) if edges_hz else None,
        full=full,
        empty=empty,
        residual=abs(float(values.sum()) - (full - empty)),
        forwards=3,
        notes=segment.notes,
    )


def _linear(node: fx.Node) -> bool:
    factors = [n for n in node.all_input_nodes if n.op != "get_attr"]
    return _name(node) in LINEAR or (_name(node) in PRODUCTS and len(factors) < 2)


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else node.target.__name__
