"""A constant offset of the samples, as cheap sound cards add it.

What stands out is taken out first, and said. The mean of what is not silence goes in any case: log
spectrograms show the least of it.
"""

from __future__ import annotations

import numpy as np

FRAME = 320  # samples
LEAST, LEAST_RELATIVE = 0.01, 0.15  # of full scale and of the RMS: smaller ones are left alone


def offset(samples: np.ndarray) -> float:
    """The constant that was added to (n,) samples; 0 where it is too small to be sure of.

    It is the mean over frames, weighted by the inverse of their variance: an offset is there in
    pauses, too, whereas voiced speech, which is lopsided, moves the plain mean by itself.
    """
    n = len(samples) // FRAME * FRAME
    frames = samples[:n].reshape(-1, FRAME) if n else samples[None]
    means = frames.mean(axis=1, dtype=np.float64)
    powers = np.einsum("fn,fn->f", frames, frames, dtype=np.float64) / frames.shape[1]
    variances = powers - means**2
    weights = 1 / (np.maximum(variances, 0) + 1e-3 * variances.mean() + 1e-12)
    constant = float((weights * means).sum() / weights.sum())
    rms = float(powers.mean()) ** 0.5
    return constant if abs(constant) > min(LEAST, LEAST_RELATIVE * rms) else 0.0
