"""Detector-agnostic baselines: maps that know nothing of the detector, which methods have to beat.

Each has the signature of a method and covers the first window of the clip, where planted evidence
lies. They make no claim about logits, so full, empty and residual are NaN.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
import torch

from detectors.audio import RATE, Waveform, speech_spans
from detectors.detector import Detector

from ..coalitions.masking import HOP, N_FFT, stft
from ..explanation import Explanation

CELL_S = 0.01


def uniform(detector: Detector, wave: Waveform) -> Explanation:
    """The same everywhere."""
    return _cells("uniform", detector, np.ones_like(_power(detector, wave)), wave)


def random(detector: Detector, wave: Waveform, *, seed: int = 0) -> Explanation:
    """Noise in eight segments and eight bands, as coarse as a game's; each clip has its own."""
    power = _power(detector, wave)
    noise = np.random.default_rng([seed, zlib.crc32(wave.samples.tobytes())]).standard_normal(
        (8, 8)
    )
    row, column = (np.arange(k) * 8 // k for k in power.shape)
    return _cells("random", detector, noise[row][:, column], wave)


def energy(detector: Detector, wave: Waveform) -> Explanation:
    """Loudness: the power of each cell of the spectrogram, in dB over the quietest."""
    decibels = 10 * np.log10(_power(detector, wave) + 1e-12)
    return _cells("energy", detector, decibels - decibels.min(), wave)


def spectral_flux(detector: Detector, wave: Waveform) -> Explanation:
    """Change from one frame to the next, in dB: finds onsets, and the seams of an edit."""
    decibels = 10 * np.log10(_power(detector, wave) + 1e-9)
    flux = np.abs(np.diff(decibels, axis=1, prepend=decibels[:, :1]))
    return _cells("spectral-flux", detector, flux, wave)


def voice_activity(detector: Detector, wave: Waveform) -> Explanation:
    """1 where silero-vad hears speech."""
    seconds = _seconds(detector, wave)
    edges = np.append(np.arange(0, seconds - CELL_S / 2, CELL_S), seconds)
    centres = (edges[:-1] + edges[1:]) / 2
    active = np.zeros(len(centres))
    for start, end in speech_spans(wave.samples):
        active[(centres >= start) & (centres < end)] = 1
    return _explanation("voice-activity", detector, active, edges, None)


BASELINES: dict[str, Callable[..., Explanation]] = {
    "uniform": uniform,
    "random": random,
    "energy": energy,
    "voice-activity": voice_activity,
    "spectral-flux": spectral_flux,
}


def _seconds(detector: Detector, wave: Waveform) -> float:
    return min(len(wave.samples), detector.config.window) / RATE


def _power(detector: Detector, wave: Waveform) -> np.ndarray:
    samples = torch.from_numpy(wave.samples[: detector.config.window])
    return stft(samples[None])[0].abs().square().double().numpy()


def _cells(name: str, detector: Detector, values: np.ndarray, wave: Waveform) -> Explanation:
    """An explanation from the height (bins, frames) of each cell of `masking.stft`."""
    end = _seconds(detector, wave)
    times = ((np.arange(values.shape[1] + 1) - 0.5) * HOP / RATE).clip(0, end)
    freqs = ((np.arange(values.shape[0] + 1) - 0.5) * RATE / N_FFT).clip(0, RATE / 2)
    area = np.outer(np.diff(freqs), np.diff(times)) * (N_FFT / RATE) / (HOP / RATE)
    return _explanation(name, detector, values * area, times, freqs)  # half cells at the edges


def _explanation(
    name: str, detector: Detector, values: np.ndarray, times: np.ndarray, freqs: np.ndarray | None
) -> Explanation:
    return Explanation(
        method=name,
        detector=detector.config.name,
        values=values,
        times=times,
        freqs=freqs,
        full=math.nan,
        empty=math.nan,
        residual=math.nan,
    )
