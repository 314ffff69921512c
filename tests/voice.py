"""Speech-like audio made with numpy: what tests use where a voice has to be heard."""

from __future__ import annotations

import numpy as np

RATE = 16_000
# Formant centres in Hz of five cardinal vowels (Peterson and Barney 1952, adult male).
VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
WIDTHS = (80, 100, 140)  # formant bandwidths in Hz


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Synthesise babble that voice activity detectors take for speech.

    Source-filter synthesis: each syllable is a burst of noise (a consonant) and a vowel, that is a
    pulse train with a falling pitch, shaped by three formants, with short pauses in between.

    Returns (seconds * 16000,) float32 at 16 kHz with a peak of 0.5. The same seed gives the same
    samples.
    """
    rng = np.random.default_rng(seed)
    total = round(seconds * RATE)
    pitch = rng.uniform(95, 210)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < total:
        parts += [_consonant(rng), _vowel(rng, pitch * rng.uniform(0.9, 1.15))]
        if rng.random() < 0.2:
            parts.append(np.zeros(int(rng.uniform(0.05, 0.15) * RATE)))
    x = np.concatenate(parts)[:total]
    x += 1e-4 * rng.standard_normal(total)  # a room's noise, so that no pause is digital silence
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def _vowel(rng: np.random.Generator, pitch: float) -> np.ndarray:
    n = int(rng.uniform(0.1, 0.22) * RATE)
    f0 = pitch * np.linspace(1.08, 0.92, n) * (1 + 0.01 * rng.standard_normal())
    phase = np.cumsum(f0) / RATE
    pulses = np.diff(np.floor(phase), prepend=0.0)
    spectrum = np.fft.rfft(pulses, 2 * n)
    hz = np.fft.rfftfreq(2 * n, 1 / RATE)
    start, end = rng.choice(len(VOWELS), 2)
    formants = (np.array(VOWELS[start]) + np.array(VOWELS[end])) / 2 * rng.uniform(0.95, 1.1)
    for centre, width in zip(formants, WIDTHS, strict=True):  # two-pole resonators, gain 1 at 0 Hz
        pole = width / 2 + 1j * centre
        spectrum *= abs(pole) ** 2 / ((1j * hz + pole) * (1j * hz + pole.conjugate()))
    spectrum /= 1 + 1j * hz / 300  # glottal tilt
    return np.fft.irfft(spectrum)[:n] * np.hanning(n) ** 0.3


def _consonant(rng: np.random.Generator) -> np.ndarray:
    n = int(rng.uniform(0.03, 0.09) * RATE)
    noise = np.diff(rng.standard_normal(n), prepend=0.0)  # tilted upwards, as in /s/
    return 0.02 * noise * np.hanning(n)
