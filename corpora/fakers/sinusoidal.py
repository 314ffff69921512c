"""Copy synthesis as harmonics plus noise, with phases of its own (Stylianou 2001)."""

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import istft, stft

from detectors.audio import RATE

from .pitch import pitch_track

SIZE, HOP = 512, 80  # 32 ms: two periods of a low voice; a frame every 5 ms
HIGHEST_HZ = 7600.0


def sinusoidal(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Speak a clip again as cosines at the multiples of its pitch, and noise for the rest.

    x: (n,) float32 at 16 kHz -> (n,) float32. Amplitudes are those of the clip's spectrum; phases
    run on from the pitch alone (McAulay & Quatieri 1986 without their phase tracks). The frequency
    above which a voiced frame is noise varies with `rng`.
    """
    border_hz = float(rng.uniform(4000, HIGHEST_HZ))
    pitch, times = pitch_track(x.astype(np.float64), 1000 * HOP / RATE)
    magnitude = np.abs(stft(x, RATE, nperseg=SIZE, noverlap=SIZE - HOP)[2])  # (bins, frames)
    bins, frames = magnitude.shape
    voiced = np.interp(np.arange(frames) * HOP / RATE, times, pitch > 0)

    turn = np.exp(2j * np.pi * rng.random(magnitude.shape))
    noisy = (voiced < 0.5) | (np.arange(bins)[:, None] * RATE / SIZE > border_hz)
    out = istft(magnitude * noisy * turn, RATE, nperseg=SIZE, noverlap=SIZE - HOP)[1][: len(x)]
    if not pitch.any():
        return out.astype(np.float32)

    at = np.arange(len(x))
    hz = np.interp(at / RATE, times[pitch > 0], pitch[pitch > 0])
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    on = np.interp(at / HOP, np.arange(frames), voiced)
    for k in range(1, int(border_hz / hz.min()) + 1):
        cells = np.stack([k * hz * SIZE / RATE, at / HOP])
        loud = 2 * map_coordinates(magnitude, cells, order=1, mode="nearest")
        out = out + on * (k * hz < border_hz) * loud * np.cos(k * phase)
    return out.astype(np.float32)
