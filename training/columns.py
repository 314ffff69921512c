"""A second loss: each moment of a crop judged by itself, against whether it is synthetic.

Zhang et al. 2021, "Multi-task learning in utterance-level and segmental-level spoof detection";
here both levels share the last layer, so that the verdict is made of what is said of the moments.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, binary_cross_entropy_with_logits

from detectors.models.cnn import CNN
from detectors.models.resnet import ResNet18

TAKEN_BY = (CNN, ResNet18)  # they pool columns of time, each of which the last layer can read


def judge(net: CNN | ResNet18, picture: Tensor) -> tuple[Tensor, Tensor]:
    """(b, 1, bands, frames) -> the verdict on the whole (b,), and on each column alone (b, t)."""
    frames = net.frames(picture)
    alone = net.out(net.drop(net.pool.alone(frames))).squeeze(-1)
    return net.verdict(frames), alone


def missed(alone: Tensor, where: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of columns (b, t) and the synthetic share of each; where: (b, n) bool."""
    share = adaptive_avg_pool1d(where.float()[:, None], alone.shape[-1])[:, 0]
    share = share * (1 - smoothing) + 0.5 * smoothing
    return binary_cross_entropy_with_logits(alone.float(), share)
