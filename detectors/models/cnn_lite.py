"""The smallest detector: one convolution and one linear layer on about a second, after the
CNN of J. Banta's audio-deepfake-detection; the baseline that the others must beat.

Parameter names are those of its checkpoints.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import Network

CHUNK = 80  # frames that the linear layer reads


class CNNLite(Network):
    """Picture to logit: (b, 1, bands, frames) -> (b,), positive = spoof.

    The spectrogram is cut into chunks of 80 frames, each with a P(spoof) of its own, and the clip's
    P(spoof) is their root mean square. Frames that fill no chunk are left out (the original filled
    them up with zeros, so that every whole second of sound ended in a chunk of silence); only a
    spectrogram shorter than one chunk is filled up.
    """

    def __init__(self, bands: int = 80, channels: int = 16) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(
            nn.Conv2d(1, channels, 3),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.2),
        )
        self.maps = nn.Identity()
        rows, columns = (bands - 2) // 2, (CHUNK - 2) // 2
        self.layer2 = nn.Linear(channels * rows * columns, 2)

    def gradcam_layers(self) -> Sequence[nn.Module]:
        return [self.maps]  # the chunks' maps side by side

    def head(self, spectrogram: Tensor) -> Tensor:
        """Picture -> class logits of its chunks (b, chunks, 2), in the order spoof, bona fide."""
        spectrogram = F.pad(spectrogram, (0, max(0, CHUNK - spectrogram.shape[-1])))
        chunks = spectrogram.unfold(-1, CHUNK, CHUNK).movedim(3, 1)  # (b, chunks, 1, bands, CHUNK)
        b, count = chunks.shape[:2]
        x = self.layer1(chunks.flatten(0, 1)).unflatten(0, (b, count))
        c, rows, columns = x.shape[2:]
        x = self.maps(x.permute(0, 2, 3, 1, 4).reshape(b, c, rows, count * columns))
        x = x.unflatten(3, (count, columns)).permute(0, 3, 1, 2, 4)
        return self.layer2(x.flatten(2))

    def forward(self, spectrogram: Tensor) -> Tensor:
        spoof, bonafide = self.head(spectrogram).unbind(dim=2)
        return rms_logit(spoof - bonafide)


def rms_logit(logits: Tensor) -> Tensor:
    """Logit of the root mean square of the probabilities behind `logits`: (b, k) -> (b,).

    With P the result, P / (1 - P) = P (1 + P) / (1 - P^2), and 1 - p^2 = (1 - p)(1 + p) for each p;
    all are summed as logarithms, so that sure chunks do not become infinite.
    """
    squares = _log_mean(2 * F.logsigmoid(logits))
    rest = _log_mean(F.logsigmoid(-logits) + torch.log1p(logits.sigmoid()))
    return squares / 2 + torch.log1p((squares / 2).exp()) - rest


def _log_mean(logs: Tensor) -> Tensor:
    return logs.logsumexp(dim=1) - math.log(logs.shape[1])
