"""Copy synthesis by linear prediction: pulses or noise through an all-pole filter (Atal 1971)."""

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from detectors.audio import RATE

from .pitch import pitch_track

PERIOD_MS = 5.0
TILT = 0.97  # pre-emphasis, so that the filter spends its poles on the formants


def lpc(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Analyse a clip into pitch and an all-pole filter every 5 ms, and speak it again.

    x: (n,) float32 at 16 kHz -> (n,) float32. The filter's order and the share of noise in the
    voiced pulses vary with `rng`. Source: Atal & Hanauer 1971, autocorrelation method.
    """
    order = int(rng.integers(16, 25))
    breath = float(rng.uniform(0.0, 0.3))
    source = _source(x, breath, rng)
    hop = round(PERIOD_MS * RATE / 1000)
    size, frames = 4 * hop, -(-len(x) // hop)
    window = np.hanning(size)
    loud = np.sqrt(np.mean(window**2))
    flat = np.pad(lfilter([1, -TILT], [1], x.astype(np.float64)), (size // 2, size + hop))
    spoken, memory = np.zeros(len(x)), np.zeros(order)
    for i in range(frames):
        poles, gain = _predict(flat[i * hop + hop // 2 :][:size] * window, order)
        here = slice(i * hop, (i + 1) * hop)
        # the filter's memory runs on across frames, so that there are no seams
        spoken[here], memory = lfilter([gain / loud], poles, source[here], zi=memory)
    return lfilter([1], [1, -TILT], spoken).astype(np.float32)


def _source(x: np.ndarray, breath: float, rng: np.random.Generator) -> np.ndarray:
    """What excites the filter, (n,) of unit power: pulses with a little noise, or noise alone."""
    noise = rng.standard_normal(len(x))
    pitch, times = pitch_track(x.astype(np.float64), PERIOD_MS)
    if not pitch.any():
        return noise
    at = np.arange(len(x)) / RATE
    voiced = np.interp(at, times, pitch > 0) > 0.5
    hz = np.interp(at, times[pitch > 0], pitch[pitch > 0])
    pulses = np.diff(np.floor(np.cumsum(hz) / RATE), prepend=0.0) * np.sqrt(RATE / hz)
    return np.where(voiced, (1 - breath) * pulses + breath * noise, noise)


def _predict(frame: np.ndarray, order: int) -> tuple[np.ndarray, float]:
    """Denominator (order + 1,) of the all-pole filter and the gain that keeps the frame's power."""
    lags = np.array([frame[: len(frame) - k] @ frame[k:] for k in range(order + 1)]) / len(frame)
    lags[0] = lags[0] * 1.0001 + 1e-12  # a noise floor 40 dB down: the filter stays stable
    poles = solve_toeplitz(lags[:-1], lags[1:])
    return np.append(1, -poles), float(np.sqrt(max(lags[0] - poles @ lags[1:], 0)))
