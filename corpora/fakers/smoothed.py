"""Copies that keep most of the phase: magnitudes seen through mel bands, as vocoders see them."""

import numpy as np
import torch
from torchaudio.functional import melscale_fbanks

from detectors.audio import RATE


def smoothed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pass a clip's magnitudes through mel bands and loosen its phases towards high frequencies.

    x: (n,) float32 at 16 kHz -> (n,) float32. A neural vocoder gets low harmonics nearly right and
    invents the fine structure above; so here. Bands, border and looseness vary with `rng`.
    """
    n_fft, hop, bins = 1024, 256, 513
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(torch.from_numpy(x), n_fft, hop, window=window, return_complex=True)
    bank = melscale_fbanks(bins, 0.0, RATE / 2, int(rng.integers(60, 113)), RATE)  # (bins, mels)
    mel = (torch.linalg.pinv(bank.T) @ (bank.T @ spectrum.abs())).clamp_min(0)

    hz = torch.linspace(0, RATE / 2, bins)[:, None]
    border, width = float(rng.uniform(1000, 5000)), float(rng.uniform(300, 1500))
    loose = torch.sigmoid((hz - border) / width) * float(rng.uniform(0.5, 3.0))  # radians
    drift = torch.from_numpy(rng.standard_normal(tuple(spectrum.shape)).astype(np.float32))
    share = torch.sigmoid((hz - border * float(rng.uniform(0, 1))) / width)
    magnitude = (1 - share) * spectrum.abs() + share * mel
    copy = torch.polar(magnitude, spectrum.angle() + loose * drift)
    return torch.istft(copy, n_fft, hop, window=window, length=len(x)).numpy()
