"""A real recording in which one segment, or one band, is exchanged for its own copy."""

import numpy as np
from scipy.signal import istft, stft

from detectors.audio import RATE

SIZE, HOP = 512, 128  # of the STFT in which bands are exchanged
SLIP = 80  # samples, 5 ms: enough to break the phase at both seams


def splice(
    x: np.ndarray, copy: np.ndarray, start_s: float, end_s: float, fade_s: float = 0.01
) -> np.ndarray:
    """`x` with `copy` from start_s to end_s, at the level of what it replaces, cross-faded.

    x, copy: (n,) float32 at 16 kHz, aligned -> (n,) float32. The fades lie inside the segment, so
    every sample outside it is that of `x`. With copy = x nothing changes.
    """
    start, end = round(start_s * RATE), round(end_s * RATE)
    if not 0 <= start < end <= len(x):
        raise ValueError(
            f"{start_s:.2f} to {end_s:.2f} s does not lie in {len(x) / RATE:.2f} s of sound."
        )
    old, new = x[start:end], copy[start:end]
    loud = np.sqrt(np.mean(np.square(new, dtype=np.float64)))
    wanted = np.sqrt(np.mean(np.square(old, dtype=np.float64)))
    n = min(round(fade_s * RATE), len(old) // 2)
    share = np.ones(len(old))
    share[:n] = (np.arange(n) + 1) / (n + 1)
    share[len(old) - n :] = share[:n][::-1]
    out = x.astype(np.float32, copy=True)
    out[start:end] = (1 - share) * old + share * new * (wanted / max(loud, 1e-9))
    return out


def self_splice(x: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """`x` with its own segment pasted back 5 ms late: the seams of `splice`, and nothing synthetic.

    What reacts to this reacts to the editing. Pasted back in place it would be `x` itself.
    """
    return splice(x, np.roll(x, SLIP), start_s, end_s)


def splice_band(x: np.ndarray, copy: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """`x` with the band from low_hz to high_hz of `copy`, at the level of what it replaces.

    x, copy: (n,) float32 at 16 kHz, aligned -> (n,) float32. STFT bins are exchanged, so a few
    tens of Hz beyond the borders are touched as well.
    """
    if not 0 <= low_hz < high_hz <= RATE / 2:
        raise ValueError(f"{low_hz:.0f} to {high_hz:.0f} Hz is no band of 0 to {RATE // 2} Hz.")
    old, new = (stft(y, RATE, nperseg=SIZE, noverlap=SIZE - HOP)[2] for y in (x, copy))
    hz = np.arange(len(old)) * RATE / SIZE
    band = (hz >= low_hz) & (hz < high_hz + (high_hz == RATE / 2))
    wanted, loud = (np.sqrt(np.mean(np.square(np.abs(y[band])))) for y in (old, new))
    old[band] = new[band] * (wanted / max(float(loud), 1e-12))
    return istft(old, RATE, nperseg=SIZE, noverlap=SIZE - HOP)[1][: len(x)].astype(np.float32)
