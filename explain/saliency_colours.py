"""A map over time and frequency as the colours of an image, for the page and for files alike."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from detectors.audio import RATE

from .explanation import Explanation

BLUR_HZ, BLUR_S = 100.0, 0.030  # for the eye: cells of a few pixels flicker
BRIGHTEST = 0.995  # quantile that gets the full colour


def heat(explanation: Explanation, shape: tuple[int, int]) -> np.ndarray:
    """Density of the evidence, -1 (real) to 1 (fake), on an even grid of (rows, columns).

    Rows rise from 0 Hz to 8 kHz, columns go from the first to the last edge in time. Density, not
    value: cells differ in size, and colour times area is evidence. ValueError when the explanation
    is not over time and frequency.
    """
    times, freqs = explanation.times, explanation.freqs
    if times is None or freqs is None:
        raise ValueError(f"An explanation by {explanation.method} is not over time and frequency.")
    density = explanation.values / (np.diff(freqs)[:, None] * np.diff(times)).clip(min=1e-9)
    hz = (np.arange(shape[0]) + 0.5) * RATE / 2 / shape[0]
    seconds = times[0] + (np.arange(shape[1]) + 0.5) * (times[-1] - times[0]) / shape[1]
    row = np.searchsorted(freqs, hz, side="right") - 1
    column = np.searchsorted(times, seconds, side="right") - 1
    inside = (row >= 0) & (row < len(density))
    grid = density[row.clip(0, len(density) - 1)][:, column.clip(0, density.shape[1] - 1)]
    blur = (BLUR_HZ / (RATE / 2 / shape[0]), BLUR_S / ((times[-1] - times[0]) / shape[1]))
    smooth = gaussian_filter(grid * inside[:, None], blur)
    return np.clip(smooth / max(float(np.quantile(np.abs(smooth), BRIGHTEST)), 1e-12), -1, 1)
