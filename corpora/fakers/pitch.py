"""The pitch track that the vocoders with a source and a filter share."""

import numpy as np
import pyworld

from detectors.audio import RATE


def pitch_track(samples: np.ndarray, period_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """DIO with StoneMask (Morise et al. 2009, 2016): pitch in Hz, 0 where unvoiced, and seconds.

    samples: (n,) float64 at 16 kHz -> two (frames,) arrays, one frame every period_ms.
    """
    pitch, times = pyworld.dio(samples, RATE, f0_floor=60.0, frame_period=period_ms)
    return pyworld.stonemask(samples, pitch, times, RATE), times
