"""Hints (Romero et al. 2015, "FitNets"): a network learns what trained ones see in a sound.

A network on the waveform has to find out from labels that a voice has a spectrum; from a few hours
of speech it learns its sources by heart instead. Here it is shown what detectors with a front-end
make of the same crop: their maps, frame by frame, beside a log-mel picture, and their opinion,
which counts as much as the label (Hinton et al. 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, mse_loss

from detectors import load
from detectors.audio.reader import RATE
from detectors.detector import Detector
from detectors.errors import HearsayError
from detectors.frontends.spectrograms import LogMel
from detectors.models.network import Network

from .recipe import TrainConfig

HOP = 256  # samples a column of TSSDNet's encoder
MEL_SHARE = 0.5  # of the picture in the loss, beside 1 for the mean of the teachers


class Hints(nn.Module):
    """Linear readings of the learner's map, which are to equal the teachers' maps, standardised.

    What is learned here are the readings; the teachers stay as they are.
    """

    def __init__(self, teachers: Sequence[Detector], channels: int) -> None:
        super().__init__()
        self.teachers = [(t.net.eval().requires_grad_(False), t.frontend) for t in teachers]
        # as modules they follow to the device
        self.nets = nn.ModuleList(net for net, _ in self.teachers)
        self.frontends = nn.ModuleList(frontend for _, frontend in self.teachers)
        self.mel = LogMel(hop=HOP)
        widths = [sight.shape[1] for sight in self.sights(torch.zeros(1, RATE))[0]]
        self.readings = nn.ModuleList(nn.Conv1d(channels, width, 1) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, affine=False) for width in widths)

    def sights(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Levelled waveforms (b, n) -> each teacher's map and the picture, (b, width, columns);
        how likely fake the teachers find them, (b,)."""
        with torch.no_grad():
            maps = [net.frames(frontend(x)) for net, frontend in self.teachers]
            pairs = zip(self.teachers, maps, strict=True)
            logits = torch.stack([net.verdict(y) for (net, _), y in pairs])
            return [*maps, self.mel(x).squeeze(1)], logits.mean(dim=0).sigmoid()

    def forward(self, net: Network, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Levelled waveforms (b, n) -> the learner's logits (b,), the teachers' opinion (b,), and
        what the learner's map misses of theirs, a loss."""
        encoded = net.frames(x)
        maps, opinion = self.sights(x)
        missed = []
        for sight, norm, reading in zip(maps, self.norms, self.readings, strict=True):
            columns = min(encoded.shape[-1], sight.shape[-1])
            read, target = (
                adaptive_avg_pool1d(y, columns) for y in (reading(encoded), norm(sight))
            )
            missed.append(mse_loss(read, target))
        loss = torch.stack(missed[:-1]).mean() + MEL_SHARE * missed[-1]
        return net.verdict(encoded), opinion, loss


def hints(config: TrainConfig, net: Network) -> Hints:
    """The hints of a recipe for its network.

    Raises HearsayError for a network that takes none and for a teacher that gives none, and
    DetectorError for a teacher that is not there.
    """
    if not net.frame_channels or config.frontend != "raw":
        raise HearsayError("teachers: only res-tssdnet and inc-tssdnet take hints.")
    teachers = [load(name) for name in config.teachers]
    for teacher in teachers:
        if not teacher.net.frame_channels:
            raise HearsayError(
                f"teachers: '{teacher.config.name}' is of the architecture "
                f"{teacher.config.architecture}; only networks that pool frames teach."
            )
    return Hints(teachers, net.frame_channels)
