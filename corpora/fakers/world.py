"""Copy synthesis by the WORLD vocoder (Morise et al. 2016), through pyworld."""

import numpy as np
import pyworld

from detectors.audio import RATE

from .pitch import pitch_track


def world(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Analyse a clip into pitch, envelope and aperiodicity, and speak it again.

    x: (n,) float32 at 16 kHz -> (n,) float32. Frame period and pitch floor vary with `rng`, as
    does the coding of the envelope, which every second copy loses detail to.
    """
    samples = x.astype(np.float64)
    period = float(rng.choice([5.0, 5.0, 10.0]))
    pitch, times = pitch_track(samples, period)
    envelope = pyworld.cheaptrick(samples, pitch, times, RATE)
    aperiodicity = pyworld.d4c(samples, pitch, times, RATE)
    if rng.random() < 0.5:
        size = pyworld.get_cheaptrick_fft_size(RATE)
        coded = pyworld.code_spectral_envelope(envelope, RATE, int(rng.integers(30, 61)))
        envelope = pyworld.decode_spectral_envelope(coded, RATE, size)
    spoken = pyworld.synthesize(pitch, envelope, aperiodicity, RATE, period)
    return np.resize(spoken, len(x)).astype(np.float32)
