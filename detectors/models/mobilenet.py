"""MobileNet-v2 (Sandler et al. 2018, arXiv:1801.04381) on a spectrogram."""

from .imagenet import ImageNetTrunk


class MobileNet(ImageNetTrunk):
    """Inverted residual blocks, 2.2 M parameters at width 1, the only width with ImageNet weights.

    forward: (b, 1, bands, frames) -> (b,).
    """

    imagenet = "MobileNet_V2_Weights.IMAGENET1K_V2"

    def __init__(self, width: float = 1.0, dropout: float = 0.2, trunk: str = "tuned") -> None:
        from torchvision.models import mobilenet_v2  # the import takes seconds

        net = mobilenet_v2(width_mult=width)
        super().__init__(net.features, net.last_channel, dropout, trunk)
