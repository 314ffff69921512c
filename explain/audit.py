"""Shortcut audit: does a verdict survive changes that leave the voice as it was?

Whether a voice is synthetic does not depend on the silence round it, its level, an MP3 encoder or
where the recording begins. A verdict that turns with one of these leans on a shortcut (leading
silence alone reaches 15 % EER on ASVspoof 2019: Mueller et al. 2021, "Speech is silver, silence is
golden"). Noise and a narrow band take evidence away: a turn under these says how firm a verdict is.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from detectors.audio import RATE, Waveform, bare, speech_spans
from detectors.detector import Detector

from .explanation import ExplainError

MARGIN_S = 0.05  # kept before the first and after the last speech, so that no consonant is cut
SHIFT_S = 0.020
SNR_DB = 15.0
MP3_LEVEL = (160 - 64) / (160 - 8)  # libsndfile's scale from 160 to 8 kbit/s, here 64


@dataclass(frozen=True)
class Variant:
    """What a detector says about one version of a clip.

    name: a key of `VARIANTS`, or "original". verdict: "fake", "real" or "inconclusive". flipped:
    the verdict is another one than the original's.
    """

    name: str
    llr: float
    p_fake: float
    verdict: str
    flipped: bool = False


def audit(detector: Detector, wave: Waveform, prior: float = 0.5) -> tuple[Variant, ...]:
    """Score a clip as it is, then in each of `VARIANTS`; the original comes first.

    prior: share of fakes among such clips (0..1, exclusive), for verdicts and P(fake). Costs one
    scoring of the clip a variant. Raises ExplainError when there is no speech in the clip.
    """
    original = _scored(detector, wave.samples, "original", prior)
    rows = [original]
    for name, change in VARIANTS.items():
        row = _scored(detector, change(wave.samples), name, prior)
        rows.append(dataclasses.replace(row, flipped=row.verdict != original.verdict))
    return tuple(rows)


def _scored(detector: Detector, samples: np.ndarray, name: str, prior: float) -> Variant:
    score = detector.score(bare(samples))
    verdict = detector.config.calibration.verdict(score.llr, prior)
    return Variant(name, score.llr, score.p_fake(prior), verdict)


def trimmed(x: np.ndarray) -> np.ndarray:
    """(n,) from the first speech to the last, by silero-vad; ExplainError where there is none."""
    spans = speech_spans(x)
    if not spans:
        raise ExplainError("No speech was found in the clip, so there is no silence to trim.")
    first = max(round((spans[0][0] - MARGIN_S) * RATE), 0)
    return x[first : round((spans[-1][1] + MARGIN_S) * RATE)]


def gain(decibel: float) -> Callable[[np.ndarray], np.ndarray]:
    """A change of level alone: nothing is clipped, also above full scale."""
    return lambda x: (x * 10 ** (decibel / 20)).astype(np.float32)


def narrow(x: np.ndarray) -> np.ndarray:
    """(n,) without what lies above 4 kHz: down to 8 kHz and back."""
    return _fit(soxr.resample(soxr.resample(x, RATE, RATE // 2), RATE // 2, RATE), len(x))


def mp3(x: np.ndarray) -> np.ndarray:
    """(n,) through MP3 at a constant 64 kbit/s, aligned to the original."""
    file = io.BytesIO()
    peak = max(float(np.abs(x).max()), 1.0)  # an encoder clips what is above full scale
    soundfile.write(
        file, x / peak, RATE, format="MP3", subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT", compression_level=MP3_LEVEL,
    )  # fmt: skip
    file.seek(0)
    return _fit(soundfile.read(file, dtype="float32")[0] * peak, len(x))


def shifted(x: np.ndarray) -> np.ndarray:
    """(n,) without its first 20 ms, so that every frame and window falls elsewhere."""
    return x[round(SHIFT_S * RATE) :]


def noisy(x: np.ndarray) -> np.ndarray:
    """(n,) with white noise 15 dB below the clip's own level, the same noise each time."""
    hiss = np.random.default_rng(0).standard_normal(len(x), dtype=np.float32)
    level = np.sqrt(np.mean(np.square(x, dtype=np.float64))) * 10 ** (-SNR_DB / 20)
    return x + np.float32(level) * hiss


def _fit(x: np.ndarray, n: int) -> np.ndarray:
    return np.pad(x[:n], (0, max(0, n - len(x)))).astype(np.float32)


VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "trimmed": trimmed,
    "quieter": gain(-20.0),
    "louder": gain(6.0),
    "narrow": narrow,
    "mp3": mp3,
    "shifted": shifted,
    "noisy": noisy,
}
