"""Inception-v3 (Szegedy et al. 2016, arXiv:1512.00567) on a spectrogram."""

from collections import OrderedDict

from torch import nn

from .imagenet import ImageNetTrunk


class Inception(ImageNetTrunk):
    """Parallel convolutions of several shapes, 21.8 M parameters, without the auxiliary classifier.

    forward: (b, 1, bands, frames) -> (b,). The trunk shrinks a side of 75 pixels to one.
    """

    imagenet = "Inception_V3_Weights.IMAGENET1K_V1"
    smallest = 75

    def __init__(self, dropout: float = 0.5, trunk: str = "tuned") -> None:
        from torchvision.models import inception_v3  # the import takes seconds

        # its own initialisation draws each weight with SciPy and takes most of a minute
        net = inception_v3(weights=None, aux_logits=False, init_weights=False)
        features = OrderedDict(net.named_children())
        for classifier in ("avgpool", "dropout", "fc"):
            del features[classifier]
        super().__init__(nn.Sequential(features), net.fc.in_features, dropout, trunk)
