"""ResNet-18 (He et al. 2016, arXiv:1512.03385) on a time-frequency picture."""

from torch import Tensor, nn

from .cnn import AttentivePool


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: (b, inputs, h, w) -> (b, outputs, h / stride, ...).

    Named like torchvision's, whose import takes seconds at every start.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """The eighteen-layer residual network with a one-channel stem and a width of choice.

    forward: (b, 1, bands, frames) -> (b,). `width` 64 is the original's 11 M parameters; the four
    stages have width, 2, 4 and 8 times width channels. The pooled embedding keeps time statistics
    (attentive mean and deviation) after the mean over frequency.
    """

    def __init__(self, width: int = 32, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=(2, 1), padding=1),
        )
        stages = []
        inputs = width
        for n in range(4):
            outputs, stride = width * 2**n, 1 if n == 0 else 2
            stages += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.features = nn.Sequential(*stages)
        self.pool = AttentivePool(inputs)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * inputs, 1)

    @property
    def gradcam_layer(self) -> nn.Module:
        """The last map with rows for bands and columns for time."""
        return self.features[-1]

    def frames(self, picture: Tensor) -> Tensor:
        """What is pooled over time: (b, 1, bands, frames) -> (b, 8 width, t)."""
        return self.features(self.stem(picture)).mean(dim=2)

    def verdict(self, frames: Tensor) -> Tensor:
        """What `frames` gave -> (b,)."""
        return self.out(self.drop(self.pool(frames))).squeeze(-1)

    def head(self, x: Tensor) -> Tensor:
        """Map of `features` (b, 8 width, f, t) -> (b,)."""
        return self.verdict(x.mean(dim=2))

    def forward(self, picture: Tensor) -> Tensor:
        return self.verdict(self.frames(picture))
