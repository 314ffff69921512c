"""What the networks that were made for photographs share: a trunk of theirs, one logit on top."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .network import Network

TRUNKS = ("tuned", "frozen")


class ImageNetTrunk(Network):
    """A spectrogram to one logit: (b, 1, bands, frames) of any size -> (b,).

    The spectrogram is standardised by its own mean and deviation, as photographs are by ImageNet's,
    and stands in all three colours. The trunk's last map is averaged over bands and frames. trunk:
    "tuned", or "frozen" for training that changes nothing but the last layer.
    """

    smallest = 32  # pixels of either side; smaller ones are interpolated

    def __init__(self, features: nn.Sequential, channels: int, dropout: float, trunk: str) -> None:
        """features: the trunk, whose last map has `channels`."""
        if trunk not in TRUNKS:
            raise ValueError(f"trunk is one of {', '.join(TRUNKS)}, not '{trunk}'.")
        super().__init__()
        self.frozen = trunk == "frozen"
        self.features = features
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(channels, 1)

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [*self.features]

    def head(self, x: Tensor) -> Tensor:
        """Map of `features` (b, channels, rows, columns) -> (b,)."""
        return self.out(self.drop(x.mean(dim=(2, 3)))).squeeze(-1)

    def forward(self, spectrogram: Tensor) -> Tensor:
        height, width = (max(side, self.smallest) for side in spectrogram.shape[2:])
        if spectrogram.shape[2:] != (height, width):
            spectrogram = F.interpolate(spectrogram, size=(height, width), mode="bilinear")
        spectrogram = F.layer_norm(spectrogram, spectrogram.shape[1:])
        return self.head(self.features(spectrogram.expand(-1, 3, -1, -1)))

    def tune(self) -> None:
        """Give gradients to what training may change."""
        self.requires_grad_(True)
        self.features.requires_grad_(not self.frozen)

    def train(self, mode: bool = True) -> ImageNetTrunk:
        """As ever, but a frozen trunk stays in eval mode: its batch norms learn nothing either."""
        super().train(mode)
        if self.frozen:
            self.features.eval()
        return self

    def load_imagenet(self) -> None:
        """Replace the trunk's weights by torchvision's, downloaded unless they are in its cache.

        Raises OSError when they cannot be had and RuntimeError when they do not fit.
        """
        from torchvision.models import get_weight

        published = get_weight(self.imagenet).get_state_dict(check_hash=True, weights_only=True)
        names = self.features.state_dict()
        trunk = {name.removeprefix("features."): value for name, value in published.items()}
        self.features.load_state_dict({k: v for k, v in trunk.items() if k in names})
