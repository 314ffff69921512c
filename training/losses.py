"""What training minimises: `loss(net, features, target, mask)`, one object a recipe.

features: (b, ...), what the network reads; target: (b,), 1 = spoof; mask: (b, n) bool, which of
their moments are synthetic. A loss returns a scalar; what it learns itself are its parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, binary_cross_entropy_with_logits, mse_loss

from detectors import load
from detectors.audio import RATE
from detectors.detector import Detector
from detectors.frontends.spectrograms import LogMel
from detectors.models.network import FeatureGroups, Network

from .recipe import NetworkRecipe

Judged = tuple[Tensor, Tensor, Tensor]  # logits of whole crops, their targets, the moments' loss


def make_loss(recipe: NetworkRecipe, net: Network) -> nn.Module:
    """The loss that a recipe asks for."""
    if recipe.teachers:
        teachers = [load(name) for name in recipe.teachers]
        return Distillation(teachers, net.frame_channels, recipe.label_smoothing)
    if recipe.partial_spoof_weight:
        return PartialSpoof(recipe.partial_spoof_weight, recipe.label_smoothing)
    return CrossEntropy(recipe.label_smoothing)


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy in float32, with label smoothing."""
    return binary_cross_entropy_with_logits(logits.float(), smooth(target, smoothing))


def smooth(target: Tensor, smoothing: float) -> Tensor:
    return target * (1 - smoothing) + 0.5 * smoothing


class CrossEntropy(nn.Module):
    """Whole crops against their labels."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, net: Network, features: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return cross_entropy(net(features), target, self.smoothing)


class PartialSpoof(nn.Module):
    """Whole crops, and by a weight their moments, each judged by itself.

    Both levels share the last layer, so that the verdict is made of the judgements on the moments.

    Source: Zhang et al. 2021, "Multi-task learning in utterance-level and segmental-level spoof
    detection".
    """

    def __init__(self, weight: float, smoothing: float) -> None:
        super().__init__()
        self.weight, self.smoothing = weight, smoothing

    def forward(self, net: Network, features: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        logits, target, moments = self.judge(net, features, target, mask)
        return cross_entropy(logits, target, self.smoothing) + self.weight * moments

    def judge(self, net: Network, features: Tensor, target: Tensor, mask: Tensor) -> Judged:
        """Logits of whole crops, their targets, and the loss of the moments."""
        if net.feature_groups is not None:
            return self._judge_groups(net.feature_groups, features, target, mask)
        frames, logits = net.frame_logits(features)
        share = adaptive_avg_pool1d(mask.float()[:, None], frames.shape[-1])[:, 0]
        return logits, target, cross_entropy(frames, share, self.smoothing)

    def _judge_groups(
        self, net: FeatureGroups, features: Tensor, target: Tensor, mask: Tensor
    ) -> Judged:
        """A moment of prosodic features says little by itself: here all synthetic moments of a crop
        are judged together, and all others. A crop that is synthetic in part is not judged as a
        whole, in which the segment may be too short to tell."""
        maps = net.maps(features)
        mixed = mask.any(dim=1) & ~mask.all(dim=1)
        whole = net.head(net.pool([x[~mixed] for x in maps]))
        if not mixed.any():
            return whole, target, whole.new_zeros(())
        parts, losses = [x[mixed] for x in maps], []
        for moments, fake in ((mask[mixed], 1.0), (~mask[mixed], 0.0)):
            logits = net.head(net.pool(parts, [net.columns(moments, x) for x in parts]))
            losses.append(cross_entropy(logits, torch.full_like(logits, fake), self.smoothing))
        return whole, target[~mixed], torch.stack(losses).mean()


class Distillation(nn.Module):
    """Whole crops against their labels and the teachers' opinion, and frames against the teachers'.

    From a few hours of labelled speech a network on the waveform learns its sources by heart. Here
    linear layers on its frames have to read what trained detectors with a front-end make of the
    crop, standardised, and a log-mel spectrogram; the teachers' opinion counts as much as a label.

    Source: Romero et al. 2015, "FitNets" (frames); Hinton et al. 2015 (opinion).

    Args:
        teachers: Networks with frames; they stay as they are.
        channels: Of the learner's frames.
        smoothing: Of the labels.
    """

    MEL_HOP = 256  # samples a frame of the learner
    MEL_SHARE = 0.5  # of the log-mel spectrogram, beside 1 for the mean of the teachers

    def __init__(self, teachers: Sequence[Detector], channels: int, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.teachers = [(t.net.eval().requires_grad_(False), t.frontend) for t in teachers]
        # as modules they follow to the device
        self.nets = nn.ModuleList(net for net, _ in self.teachers)
        self.frontends = nn.ModuleList(frontend for _, frontend in self.teachers)
        self.mel = LogMel(hop=self.MEL_HOP)
        widths = [x.shape[1] for x in self.teach(torch.zeros(1, RATE))[0]]
        self.readings = nn.ModuleList(nn.Conv1d(channels, width, 1) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, affine=False) for width in widths)

    def forward(self, net: Network, features: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        frames = net.frames(features)
        wanted, opinion = self.teach(features)
        target = (smooth(target, self.smoothing) + opinion) / 2
        return cross_entropy(net.verdict(frames), target) + self.frame_loss(frames, wanted)

    @torch.no_grad()
    def teach(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Levelled waveforms (b, n) -> each teacher's frames and the log-mel spectrogram,
        (b, width, t), and P(spoof) by the teachers' mean logit, (b,)."""
        frames = [net.frames(frontend(x)) for net, frontend in self.teachers]
        logits = [net.verdict(y) for (net, _), y in zip(self.teachers, frames, strict=True)]
        return [*frames, self.mel(x).squeeze(1)], torch.stack(logits).mean(dim=0).sigmoid()

    def frame_loss(self, frames: Tensor, wanted: Sequence[Tensor]) -> Tensor:
        """Mean squared error of the readings of the learner's frames, in the coarser time grid."""
        losses = []
        for y, norm, reading in zip(wanted, self.norms, self.readings, strict=True):
            t = min(frames.shape[-1], y.shape[-1])
            read, target = (adaptive_avg_pool1d(z, t) for z in (reading(frames), norm(y)))
            losses.append(mse_loss(read, target))
        return torch.stack(losses[:-1]).mean() + self.MEL_SHARE * losses[-1]
