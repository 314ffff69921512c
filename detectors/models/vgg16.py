"""VGG-16 (Simonyan and Zisserman 2015, arXiv:1409.1556) on a spectrogram."""

from .imagenet import ImageNetTrunk


class VGG16(ImageNetTrunk):
    """Thirteen 3x3 convolutions with batch norm, 14.7 M parameters at width 1.

    forward: (b, 1, bands, frames) -> (b,). The mean over the map stands for the original's three
    linear layers, which fit one image size and hold nine tenths of its weights. ImageNet weights
    fit width 1 alone.
    """

    windows_at_once = 4  # 40 MB a window, and more at once is no faster
    imagenet = "VGG16_BN_Weights.IMAGENET1K_V1"

    def __init__(self, width: float = 1.0, dropout: float = 0.5, trunk: str = "tuned") -> None:
        from torchvision.models.vgg import cfgs, make_layers  # the import takes seconds

        plan = [size if size == "M" else max(1, int(width * size)) for size in cfgs["D"]]
        super().__init__(make_layers(plan, batch_norm=True), plan[-2], dropout, trunk)
