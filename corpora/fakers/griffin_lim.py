"""Copy synthesis from a spectrogram whose phase is thrown away (Griffin and Lim 1984)."""

import numpy as np
import torch
from torchaudio.functional import griffinlim, melscale_fbanks

from detectors.audio import RATE


def griffin_lim(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rebuild a clip from magnitudes alone; every second copy goes through 80 mel bands first.

    x: (n,) float32 at 16 kHz -> (n,) float32. Window, hop and iterations vary with `rng`.
    """
    n_fft = int(rng.choice([512, 800, 1024]))
    hop = n_fft // 4
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(torch.from_numpy(x), n_fft, hop, window=window, return_complex=True).abs()
    if rng.random() < 0.5:
        bank = melscale_fbanks(n_fft // 2 + 1, 0.0, RATE / 2, 80, RATE)  # (bins, 80)
        spectrum = (torch.linalg.pinv(bank.T) @ (bank.T @ spectrum)).clamp_min(0)
    copy = griffinlim(
        spectrum,
        window,
        n_fft,
        hop,
        win_length=n_fft,
        power=1.0,
        n_iter=int(rng.integers(8, 33)),
        momentum=0.99,
        length=len(x),
        rand_init=False,
    )
    return copy.numpy().astype(np.float32)
