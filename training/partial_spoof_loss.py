"""A second loss: each moment of a crop judged by itself, against whether it is synthetic.

Zhang et al. 2021, "Multi-task learning in utterance-level and segmental-level spoof detection";
here both levels share the last layer, so that the verdict is made of what is said of the moments.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, binary_cross_entropy_with_logits

from detectors.models.network import FeatureGroups, Network


def takes(net: Network) -> bool:
    """Can the network judge moments by themselves?"""
    return net.judges_frames or net.feature_groups is not None


def judge(
    net: Network,
    features: Tensor,
    target: Tensor,
    where: Tensor,
    smoothing: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Verdicts on whole crops, their targets, and what is missed of the parts, a cross-entropy.

    features: (b, 1, bands, frames), or (b, channels, frames) of prosody; target: (b,); where: which
    moments are synthetic, (b, n) bool; smoothing: of the parts' targets. The CNNs judge each column
    of all b crops. Of prosody's features a moment says little: there a crop that is
    synthetic in part is judged twice, by all its synthetic moments and by all others, and not as a
    whole, in which a stretch may be too short to be heard.
    """
    groups = net.feature_groups
    if groups is not None:
        maps = groups.maps(features)
        mixed = where.any(dim=1) & ~where.all(dim=1)
        missed = _parts(groups, [x[mixed] for x in maps], where[mixed], smoothing)
        return groups.head(groups.pool([x[~mixed] for x in maps])), target[~mixed], missed
    alone, logit = net.frame_logits(features)
    share = adaptive_avg_pool1d(where.float()[:, None], alone.shape[-1])[:, 0]
    return logit, target, _missed(alone, share, smoothing)


def _parts(net: FeatureGroups, maps: list[Tensor], where: Tensor, smoothing: float) -> Tensor:
    """What is missed when the synthetic moments are heard alone, and the others; 0 of no crops."""
    if not len(where):
        return where.new_zeros((), dtype=torch.float32)
    missed = []
    for heard, fake in ((where, 1.0), (~where, 0.0)):
        alone = net.head(net.pool(maps, [net.columns(heard, x) for x in maps]))
        missed.append(_missed(alone, torch.full_like(alone, fake), smoothing))
    return (missed[0] + missed[1]) / 2


def _missed(logits: Tensor, share: Tensor, smoothing: float) -> Tensor:
    return binary_cross_entropy_with_logits(
        logits.float(), share * (1 - smoothing) + 0.5 * smoothing
    )
