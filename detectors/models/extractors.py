"""What Hugging Face speech models read: their feature extractors again, as differentiable modules.

The originals turn NumPy arrays into NumPy arrays, so no gradient would reach the samples. Each
module here gives the numbers of the extractor that its docstring names, one waveform at a time,
whatever else is in the batch.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from ..audio import RATE
from ..frontends.spectrograms import WhisperMel


class Samples(nn.Module):
    """Wav2Vec2FeatureExtractor: (b, n) -> (b, n), to mean 0 and variance 1 if `normalise`."""

    def __init__(self, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(self, x: Tensor) -> Tensor:
        if not self.normalise:
            return x
        x = x - x.mean(dim=-1, keepdim=True)
        return x / (x.square().mean(dim=-1, keepdim=True) + 1e-7).sqrt()


class PaddedWhisperMel(nn.Module):
    """WhisperFeatureExtractor: (b, n) -> (b, mels, samples // hop), log10 mel power of 80 dB range.

    The sound is cut or padded with silence to `samples`, the length that the encoder insists on.
    """

    def __init__(self, mels: int, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.mel = WhisperMel(mels)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, self.samples - x.shape[-1]))  # a negative pad cuts
        return self.mel(x).squeeze(1)


class KaldiMel(nn.Module):
    """ASTFeatureExtractor: (b, n) -> (b, frames, mels), cut or filled up to `frames` with zeros.

    Natural log of Kaldi's mel power, less `mean` and divided by twice `std`.
    """

    def __init__(self, mels: int, frames: int, mean: float, std: float) -> None:
        super().__init__()
        self.mels, self.frames, self.mean, self.std = mels, frames, mean, std

    def forward(self, x: Tensor) -> Tensor:
        mel = _fbank(x, num_mel_bins=self.mels, window_type="hanning")
        mel = nn.functional.pad(mel, (0, 0, 0, self.frames - mel.shape[1]))
        return (mel - self.mean) / (2 * self.std)


class StackedMel(nn.Module):
    """SeamlessM4TFeatureExtractor: (b, n) -> (b, frames // stride, mels * stride).

    Kaldi's log-mel bands, each to mean 0 and variance 1 over time, `stride` frames in a row.
    """

    def __init__(self, mels: int, stride: int) -> None:
        super().__init__()
        self.mels, self.stride = mels, stride

    def forward(self, x: Tensor) -> Tensor:
        mel = _fbank(x * 2**15, num_mel_bins=self.mels, window_type="povey")
        variance, mean = torch.var_mean(mel, dim=1, keepdim=True)
        mel = (mel - mean) / (variance + 1e-7).sqrt()
        whole = mel.shape[1] // self.stride
        return mel[:, : whole * self.stride].reshape(len(x), whole, self.mels * self.stride)


def _fbank(x: Tensor, **settings: Any) -> Tensor:
    return torch.stack([kaldi.fbank(row[None], sample_frequency=RATE, **settings) for row in x])


KINDS: dict[str, type[nn.Module]] = {
    "samples": Samples,
    "whisper-mel": PaddedWhisperMel,
    "kaldi-mel": KaldiMel,
    "stacked-mel": StackedMel,
}


def extractor(described: dict[str, Any]) -> nn.Module:
    """Extractor from its description: `kind`, one of `KINDS`, and that module's own settings.

    Raises ValueError for an unknown kind, TypeError for wrong settings.
    """
    settings = dict(described)
    kind = settings.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"There is no extractor '{kind}'; there are {', '.join(KINDS)}.")
    return KINDS[kind](**settings)
