"""The waveform itself and its spectrograms: differentiable, so attributions reach the samples."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram, Spectrogram

from ..audio import RATE
from .frontend import Frontend, Layer, check_hop

LEVEL_RMS = 0.05  # about -26 dBFS, the level of ordinary speech recordings


def level(x: Tensor) -> Tensor:
    """Scale each waveform to an RMS of `LEVEL_RMS`; digital silence stays silence.

    x: (b, n) -> (b, n). The result does not depend on the gain of the input.
    """
    rms = x.square().mean(dim=-1, keepdim=True).sqrt()
    return x * (LEVEL_RMS / rms.clamp_min(1e-8))


class Raw(Frontend):
    """The waveform itself: (b, n) -> (b, n)."""

    def local_layers(self) -> tuple[Layer, ...]:
        return ()

    def forward(self, x: Tensor) -> Tensor:
        return x


class LogSpectrogram(Frontend):
    """What log-mel and log-power spectrograms share: sizes, logarithm and band means.

    centre: subtract every band's mean over time, which removes the microphone's colour. Raises
    ValueError for an n_fft above a second, more rows than that has frequencies, or a bad hop.
    """

    def __init__(self, n_fft: int, hop: int, rows: int, centre: bool) -> None:
        super().__init__()
        if not 2 <= n_fft <= RATE or not 1 <= rows <= n_fft // 2 + 1:  # before memory is asked for
            raise ValueError(
                f"a spectrum of {n_fft} samples does not make a spectrogram of {rows} rows"
            )
        check_hop(hop)
        self.n_fft, self.hop = n_fft, hop
        self.centre: bool | Tensor = centre

    def local_layers(self) -> tuple[Layer, ...] | None:
        return None if self.centre is True else ((self.n_fft, self.hop, self.n_fft // 2),)

    def held(self, x: Tensor) -> LogSpectrogram:
        if self.centre is not True:
            return self
        copied = copy.copy(self)
        copied.centre = False
        copied.centre = copied(x[None])[0, 0].mean(dim=-1, keepdim=True)  # (bands, 1)
        return copied

    def _log(self, power: Tensor) -> Tensor:
        """(b, bands, frames) -> (b, 1, bands, frames)."""
        spectrogram = torch.log(power + 1e-6)
        if self.centre is True:
            spectrogram = spectrogram - spectrogram.mean(dim=-1, keepdim=True)
        elif self.centre is not False:
            spectrogram = spectrogram - self.centre
        return spectrogram.unsqueeze(1)


class LogMel(LogSpectrogram):
    """Log-mel spectrogram: (b, n) -> (b, 1, mels, frames), natural log of the mel power."""

    def __init__(
        self,
        mels: int = 80,
        n_fft: int = 512,
        hop: int = 160,
        low_hz: float = 20.0,
        high_hz: float = 7600.0,
        centre: bool = False,
    ) -> None:
        super().__init__(n_fft, hop, mels, centre)
        self.mel = MelSpectrogram(
            RATE, n_fft=n_fft, hop_length=hop, n_mels=mels, f_min=low_hz, f_max=high_hz
        )
        to_mel, to_hz = _mel_scale()
        grid = torch.linspace(to_mel(low_hz), to_mel(high_hz), 2 * mels + 3)
        self.hz_edges = [to_hz(float(m)) for m in grid[1::2]]

    def forward(self, x: Tensor) -> Tensor:
        return self._log(self.mel(x))


class Mel(LogMel):
    """Mel spectrogram of the power itself, no logarithm: (b, n) -> (b, 1, mels, frames).

    Its cells span many orders of magnitude; only networks that were published on it want it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.mel(x).unsqueeze(1)


class LogSpec(LogSpectrogram):
    """Log-power spectrogram with a linear frequency axis: (b, n) -> (b, 1, bins, frames).

    The axis that vocoders' upsampling images stand out on; `bins` counts from 0 Hz upwards.
    """

    def __init__(self, n_fft: int = 320, hop: int = 160, bins: int = 160, centre: bool = False):
        super().__init__(n_fft, hop, bins, centre)
        self.bins = bins
        self.spec = Spectrogram(n_fft=n_fft, hop_length=hop)
        self.hz_edges = [RATE / n_fft * k for k in range(bins + 1)]

    def forward(self, x: Tensor) -> Tensor:
        return self._log(self.spec(x)[:, : self.bins])


class WhisperMel(Frontend):
    """Whisper's log-mel spectrogram: (b, n) -> (b, 1, mels, frames), log10 power over 80 dB.

    The same numbers as WhisperFeatureExtractor of transformers, without its padding to 30 s.
    """

    hop = 160

    def __init__(self, mels: int = 80) -> None:
        super().__init__()
        self.mel = MelSpectrogram(
            RATE, 400, hop_length=self.hop, n_mels=mels, norm="slaney", mel_scale="slaney"
        )
        self.hz_edges = [_slaney_hz(m) for m in np.linspace(0, _SLANEY_TOP, 2 * mels + 3)[1::2]]

    def forward(self, x: Tensor) -> Tensor:
        mel = self.mel(x)[..., :-1].clamp_min(1e-10).log10()
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        return ((mel.maximum(loudest - 8) + 4) / 4).unsqueeze(1)


_SLANEY_TOP = 15 + 27 * math.log(8) / math.log(6.4)  # 8 kHz in mel


def _slaney_hz(mel: float) -> float:
    """Slaney's mel scale: 66.7 Hz a mel up to 1 kHz, then 27 mel for a factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def _mel_scale():
    """HTK mel scale and its inverse, as torchaudio's filter bank has it."""
    from math import log10

    return (
        lambda hz: 2595.0 * log10(1.0 + hz / 700.0),
        lambda mel: 700.0 * (10.0 ** (mel / 2595.0) - 1.0),
    )
