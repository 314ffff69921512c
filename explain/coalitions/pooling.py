"""Coalitions of moments, for a network that describes each moment and then pools over time.

No baseline stands in the place of what a coalition leaves out: noise and silence have features
too, which such a network judges as it judges a voice's. Masking the sound would have pitch sought
anew in every coalition, and break it at each seam.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detectors.detector import Detector

from .masking import Windows
from .segment import Segment


def passes_over(detector: Detector) -> bool:
    """Is what a coalition leaves out passed over, with nothing in its place?"""
    return detector.net.feature_groups is not None


class Pooled:
    """Logits when the network pools the moments of a coalition of windows alone.

    A game as `splicing.Splicer` is one, of a pass through the front-end. A feature group of which
    nothing is present stands at its training mean, as in `shapley_groups`.
    """

    passes, each, batch = 2, 0, 32

    def __init__(self, detector: Detector, segment: Segment, players: Windows) -> None:
        net, hop = detector.net.feature_groups, detector.frontend.hop
        assert net is not None
        with torch.inference_mode():
            features = detector.frontend(segment.fill(segment.samples[None]))
            self.net, self.maps = net, net.maps(features)
            self.absent = net.embed(net.mean[:, None].expand_as(features))
        frames = torch.arange(features.shape[-1])
        middles = (frames * hop + hop // 2) % len(segment.samples)
        windows = players.left[middles][None]
        self.windows = [net.columns(windows, x)[0] for x in self.maps]  # of each map's columns

    def __call__(self, coalitions: Tensor) -> Tensor:
        present = [coalitions[:, windows] for windows in self.windows]
        some = [columns.any(dim=1, keepdim=True) for columns in present]
        embeddings = self.net.pool(
            [x.expand(len(coalitions), -1, -1) for x in self.maps],
            [columns | ~found for columns, found in zip(present, some, strict=True)],
        )
        return self.net.head(torch.where(torch.stack(some, dim=1), embeddings, self.absent))
