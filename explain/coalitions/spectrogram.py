"""A clip's segment as magnitudes over time and frequency, and the logit as a function of them.

The phase stays the clip's own: a changed spectrogram is made sound again and goes through the
detector like any recording, so bands and cells can be masked, and differentiated, for every one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector
from detectors.models.network import Network

from ..explanation import ExplainError
from .game import Game
from .masking import HOP, N_FFT, background, istft, stft
from .segment import Segment, most_suspicious_segment

FLOORS = ("noise", "zeros")
BINS = N_FFT // 2 + 1
SMALL_NET, MEDIUM_NET, LARGE_NET = 256, 128, 40  # coalitions of a game, by what a forward costs
PATCHES = 160  # coalitions of a game of patches, which may be slow on a large network
MANY_WEIGHTS = 1_000_000


def refusal(detector: Detector) -> str | None:
    """Why the logit has no gradient by the spectrum, or None if it has one."""
    if detector.differentiable:
        return None
    return "no gradient passes through its front-end"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """magnitude and floor (1, bins, frames): the clip's and its baseline's; phase: unit complex."""

    detector: Detector
    segment: Segment
    magnitude: Tensor
    phase: Tensor
    floor: Tensor

    def logits(self, magnitudes: Tensor) -> Tensor:
        """(k, bins, frames) -> (k,), differentiable."""
        rebuilt = istft(magnitudes * self.phase, len(self.segment.samples))
        return self.detector.logits(self.segment.fill(rebuilt), levelled=True)

    @property
    def times(self) -> np.ndarray:
        """Edges of the frames in seconds of the clip, (frames + 1,)."""
        edges = torch.arange(self.magnitude.shape[-1] + 1) * HOP - HOP // 2
        return self.segment.seconds(edges.clamp(0, len(self.segment.samples)).numpy())

    @property
    def freqs(self) -> np.ndarray:
        """Edges of the bins in Hz, (bins + 1,)."""
        return ((np.arange(BINS + 1) - 0.5) * RATE / N_FFT).clip(0, RATE / 2)


def spectrum(
    detector: Detector, wave: Waveform, baseline: str = "noise", start_s: float | None = None
) -> Spectrum:
    """The spectrum of the analysed segment.

    Args:
        baseline: Its floor: "noise" is the clip's background spectrum (`masking.background`,
            constant in time), "zeros" is digital silence.
        start_s: See `most_suspicious_segment`.

    Raises:
        ExplainError: There is no such baseline, or the clip is too short.
    """
    if baseline not in FLOORS:
        raise ExplainError(f"There is no baseline '{baseline}'; there are {', '.join(FLOORS)}.")
    segment = most_suspicious_segment(detector, wave, start_s)
    if len(segment.samples) < N_FFT:
        raise ExplainError("The clip is too short for a spectrum.")
    cells = stft(segment.samples[None])
    magnitude = cells.abs()
    phase = torch.polar(torch.ones_like(magnitude), cells.angle())
    floor = torch.zeros_like(magnitude)
    if baseline == "noise":
        floor = floor + background(segment.samples)[None, :, None]
    return Spectrum(segment.pin(detector), segment, magnitude, phase, floor)


def patches(sound: Spectrum, windows: int, bands: int) -> Game:
    """The game of equal windows times equal bands from 0 Hz to 8 kHz; off is the floor.

    Player window * bands + band is a band in a window. ExplainError when they do not fit.
    """
    frames = sound.magnitude.shape[-1]
    if not (1 <= windows <= frames // 4 and 1 <= bands <= BINS // 4 and windows * bands > 1):
        raise ExplainError(
            f"{windows} windows and {bands} bands do not fit: from 1 to {frames // 4} windows and "
            f"from 1 to {BINS // 4} bands do, two players at least."
        )
    row = torch.arange(BINS) * bands // BINS
    column = torch.arange(frames) * windows // frames

    def value(on: Tensor) -> Tensor:
        present = on.reshape(len(on), windows, bands).transpose(1, 2)[:, row][:, :, column]
        return sound.logits(torch.where(present, sound.magnitude, sound.floor))

    return Game(
        windows * bands,
        value,
        min(sound.detector.batch, 8),
        each=1,
        times=sound.times[[int((column < w).sum()) for w in range(windows + 1)]],
        freqs=sound.freqs[[int((row < b).sum()) for b in range(bands + 1)]],
        notes=sound.segment.notes,
    )


def bands_budget(detector: Detector) -> int:
    """Coalitions that two slow cores play in two seconds; in ten if a network has large maps."""
    if detector.batch < Network.windows_at_once:
        return LARGE_NET
    return MEDIUM_NET if _many_weights(detector) else SMALL_NET


def patches_budget(detector: Detector) -> int:
    """Coalitions of a game of patches that two slow cores play in two seconds, if any do."""
    return MEDIUM_NET if _many_weights(detector) else PATCHES


def _many_weights(detector: Detector) -> bool:
    weights = (weight for _, part in detector.parts for weight in part.net.parameters())
    return sum(weight.numel() for weight in weights) > MANY_WEIGHTS
