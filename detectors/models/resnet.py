"""ResNet-18 (He et al. 2016, arXiv:1512.03385) on a spectrogram."""

from collections.abc import Callable

from torch import Tensor, nn

from .cnn import AttentivePool, FrameNetwork
from .network import Stage, layers_of


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


class ResNet18(FrameNetwork):
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
        self.frame_channels = inputs
        self.pool = AttentivePool(inputs)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * inputs, 1)

    def encode(self, spectrogram: Tensor) -> Tensor:
        return self.features(self.stem(spectrogram))

    def fold_rows(self, x: Tensor) -> Tensor:
        return x.mean(dim=2)

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        return [Stage(part, layers_of(part)) for part in (self.stem, *self.features)], self.head
