"""A real recording in which one stretch is exchanged for its own copy, as an editor would do it."""

import numpy as np

from detectors.audio import RATE


def swap(
    x: np.ndarray, copy: np.ndarray, start_s: float, end_s: float, fade_s: float = 0.01
) -> np.ndarray:
    """`x` with `copy` from start_s to end_s, at the level of what it replaces, cross-faded.

    x, copy: (n,) float32 at 16 kHz, aligned -> (n,) float32. The fades lie inside the stretch, so
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
