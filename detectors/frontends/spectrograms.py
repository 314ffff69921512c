"""Front-ends: a levelled waveform in, the picture (or waveform) that an architecture reads out.

All are differentiable, so that an attribution can pass through them to the samples, except those
that say `differentiable = False`.
"""

import copy

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram, Spectrogram

from ..audio.reader import RATE

LEVEL_RMS = 0.05  # about -26 dBFS, the level of ordinary speech recordings


def level(x: Tensor) -> Tensor:
    """Scale each waveform to an RMS of `LEVEL_RMS`; digital silence stays silence.

    x: (b, n) -> (b, n). The result does not depend on the gain of the input.
    """
    rms = x.square().mean(dim=-1, keepdim=True).sqrt()
    return x * (LEVEL_RMS / rms.clamp_min(1e-8))


class Raw(nn.Module):
    """The waveform itself: (b, n) -> (b, n)."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class LogMel(nn.Module):
    """Log-mel picture: (b, n) -> (b, 1, mels, frames), natural log of the mel power.

    `centre` subtracts every band's mean over time, which removes the microphone's colour.
    `hz_edges` (mels + 1 values) are where the bands meet, for the axis of a plot. Raises ValueError
    for an n_fft above a second or more mels than that has frequencies.
    """

    def __init__(
        self,
        mels: int = 80,
        n_fft: int = 512,
        hop: int = 160,
        low_hz: float = 20.0,
        high_hz: float = 7600.0,
        centre: bool = False,
    ) -> None:
        super().__init__()
        _check_size(n_fft, mels)
        self.hop = hop
        self.centre: bool | Tensor = centre
        self.mel = MelSpectrogram(
            RATE, n_fft=n_fft, hop_length=hop, n_mels=mels, f_min=low_hz, f_max=high_hz
        )
        to_mel, to_hz = _mel_scale()
        grid = torch.linspace(to_mel(low_hz), to_mel(high_hz), 2 * mels + 3)
        self.hz_edges = [to_hz(float(m)) for m in grid[1::2]]

    def forward(self, x: Tensor) -> Tensor:
        return _log_picture(self.mel(x), self.centre)


class Mel(LogMel):
    """Mel picture of the power itself, no logarithm: (b, n) -> (b, 1, mels, frames).

    Its cells span many orders of magnitude; only networks that were published on it want it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.mel(x).unsqueeze(1)


class LogSpec(nn.Module):
    """Log-power picture with a linear frequency axis: (b, n) -> (b, 1, bins, frames).

    The axis that vocoders' upsampling images stand out on; `bins` counts from 0 Hz upwards.
    Raises ValueError as `LogMel` does.
    """

    def __init__(self, n_fft: int = 320, hop: int = 160, bins: int = 160, centre: bool = False):
        super().__init__()
        _check_size(n_fft, bins)
        self.hop, self.bins = hop, bins
        self.centre: bool | Tensor = centre
        self.spec = Spectrogram(n_fft=n_fft, hop_length=hop)
        self.hz_edges = [RATE / n_fft * k for k in range(bins + 1)]

    def forward(self, x: Tensor) -> Tensor:
        return _log_picture(self.spec(x)[:, : self.bins], self.centre)


def _check_size(n_fft: int, rows: int) -> None:
    """Refuse sizes that no picture has, before memory for them is asked for."""
    if not 2 <= n_fft <= RATE or not 1 <= rows <= n_fft // 2 + 1:
        raise ValueError(f"a spectrum of {n_fft} samples does not make a picture of {rows} rows")


def _log_picture(power: Tensor, centre: bool | Tensor) -> Tensor:
    picture = torch.log(power + 1e-6)
    if centre is True:
        picture = picture - picture.mean(dim=-1, keepdim=True)
    elif centre is not False:
        picture = picture - centre
    return picture.unsqueeze(1)


def held(frontend: nn.Module, x: Tensor) -> nn.Module:
    """The front-end with the band means of x (n,) in place of those of whatever it will hear.

    A part of x then looks as it does within x, whatever becomes of the rest. A front-end that does
    not centre is returned as it is.
    """
    if not isinstance(frontend, LogMel | LogSpec) or frontend.centre is not True:
        return frontend
    copied = copy.copy(frontend)
    copied.centre = False
    copied.centre = copied(x[None])[0, 0].mean(dim=-1, keepdim=True)  # (bands, 1)
    return copied


def _mel_scale():
    """HTK mel scale and its inverse, as torchaudio's filter bank has it."""
    from math import log10

    return (
        lambda hz: 2595.0 * log10(1.0 + hz / 700.0),
        lambda mel: 700.0 * (10.0 ** (mel / 2595.0) - 1.0),
    )
