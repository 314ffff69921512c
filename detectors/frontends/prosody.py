"""Prosody: what a phonetician measures in a voice, for every 10 ms of a clip on one time axis.

Pitch, periods, intensity and formants are Praat's (Boersma and Weenink, "Praat: doing phonetics by
computer", praat.org; the manual's "Voice" pages define jitter, shimmer and harmonicity). What a
frame does not have, such as the pitch of an /s/, is marked by a mask channel and never invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.lib.stride_tricks import sliding_window_view
from parselmouth import Pitch, Sound
from parselmouth.praat import call
from torch import Tensor
from torchaudio.functional import create_dct, linear_fbanks, melscale_fbanks

from ..audio import RATE
from .frontend import Frontend

VERSION = 1  # of the definitions below: raise it when a number changes, and caches are made again
HOP = 160
MARGIN = 1600  # zeros around the clip, so that Praat's windows of up to 64 ms reach its ends
FLOOR_HZ, CEILING_HZ = 75.0, 600.0
FORMANTS_HZ = 5500.0  # five of them lie below; Praat's default
SHORTEST_S, LONGEST_S = 1e-4, 0.02  # a period; Praat's defaults, as are the next two
PERIOD_FACTOR, AMPLITUDE_FACTOR = 1.3, 1.6  # more between neighbours is no perturbation
AROUND_S = 0.2  # jitter, shimmer and pitch spread are means over this much around a frame
PAUSE_DB, PAUSE_S = 25.0, 0.1  # below the loudest frame, and for at least so long
WINDOW, N_FFT, BANDS = 400, 512, 40
Rows = Sequence[np.ndarray] | np.ndarray
# terms of each quotient; ppq55 is MDVP's smoothed pitch perturbation quotient (sPPQ)
JITTER = {"local": 2, "rap": 3, "ppq5": 5, "ppq55": 55}
SHIMMER = {"local": 2, "apq3": 3, "apq5": 5, "apq11": 11}

# group -> value -> the mask channel that says where it is defined ("": everywhere)
LAYOUT: dict[str, dict[str, str]] = {
    "f0": {"semitones": "voiced", "from median": "voiced"},
    "f0 fluctuation": {"slope": "slope known", "spread": "voiced"},
    "jitter": {name: f"{name} known" for name in JITTER},
    "shimmer": {name: f"{name} known" for name in SHIMMER},
    "hnr": {"dB": "voiced"},
    "intensity": {"dB": "", "slope": ""},
    "onset": {"strength": ""},
    "pauses": {"pause": "", "pause length": "", "speech length": ""},
    "formants": {name: "voiced" for name in ("F1", "F2", "F3", "F4", "B1", "B2", "B3")},
    "mfcc": {str(k): "" for k in range(1, 20)},
    "mel": {str(k): "" for k in range(BANDS)},
    "lfcc": {str(k): "" for k in range(1, 20)},
}


def _channels() -> Iterator[tuple[str, str, str]]:
    """(group, name, mask) of every channel: a group's values first, then its masks."""
    for group, values in LAYOUT.items():
        masks = dict.fromkeys(mask for mask in values.values() if mask)
        yield from ((group, name, mask) for name, mask in values.items())
        yield from ((group, mask, "") for mask in masks)


CHANNELS = [f"{group}: {name}" for group, name, _ in _channels()]
# each channel's mask channel, its own index where it is always defined
MASKS = [CHANNELS.index(f"{group}: {mask or name}") for group, name, mask in _channels()]
_OF = [group for group, _, _ in _channels()]
GROUPS = {group: slice(_OF.index(group), _OF.index(group) + _OF.count(group)) for group in LAYOUT}

MEL = melscale_fbanks(N_FFT // 2 + 1, 20.0, 7600.0, BANDS, RATE).numpy()
LINEAR = linear_fbanks(N_FFT // 2 + 1, 0.0, RATE / 2, BANDS, RATE).numpy()
COSINES = create_dct(20, BANDS, "ortho").numpy()[:, 1:]  # without the 0th, which is the level


class Prosody(Frontend):
    """Prosodic features: (b, n) -> (b, len(CHANNELS), n // 160); see `prosody`.

    `groups` names the channels that belong together. Gradients do not pass.
    """

    differentiable = False
    groups = GROUPS
    hop = HOP
    version = VERSION

    def forward(self, x: Tensor) -> Tensor:
        rows = x.detach().cpu().double().numpy()
        return torch.from_numpy(np.stack([prosody(row) for row in rows])).to(x.device)


def prosody(x: np.ndarray) -> np.ndarray:
    """Features (len(CHANNELS), n // 160) float32 of n samples at 16 kHz.

    Frames are 10 ms apart and centred on the clip. Channels, by group (logarithms are natural):

    - f0: semitones above 100 Hz, and from the clip's median. Praat's autocorrelation method.
    - f0 fluctuation: semitones a frame, and standard deviation within 0.2 s.
    - jitter, shimmer: logarithms of the quotients, see `perturbation`.
    - hnr: dB, harmonics-to-noise ratio 10 log10(r / (1 - r)) of the normalised autocorrelation r
      at the period (Boersma 1993, eq. 4).
    - intensity: Praat's, in dB relative to the clip's RMS, and dB a frame.
    - onset: rise of the log-mel bands since the frame before, mean over bands, in dB.
    - pauses: whether the frame lies in one, and the seconds that this pause, or the speech between
      two, lasts. A pause is 25 dB below the loudest frame for 0.1 s (Praat's "To TextGrid
      (silences)").
    - formants: logarithms of F1-F4 and of the bandwidths B1-B3 in Hz; Burg's method, up to 5.5 kHz.
    - mfcc, mel, lfcc: of power spectra of 25 ms; 40 bands, and 19 coefficients without the 0th.
    """
    frames = len(x) // HOP
    first = MARGIN + (len(x) - frames * HOP) // 2 + HOP // 2  # the first frame's centre
    padded = np.pad(x, MARGIN)
    sound = Sound(padded, RATE)
    at = (first + HOP * np.arange(frames)) / RATE
    pitch = sound.to_pitch_ac(HOP / RATE, FLOOR_HZ, pitch_ceiling=CEILING_HZ)
    nearest = np.rint((at - pitch.x1) / pitch.dx).astype(int)
    candidate = pitch.selected_array[nearest]
    voiced = candidate["frequency"] > 0
    periods, amplitudes = cycles(sound, pitch)
    intensity = _intensity(sound, at, x)
    log_mel, mfcc, lfcc = _spectra(padded, first, frames)
    f0 = 12 * np.log2(np.where(voiced, candidate["frequency"], np.nan) / 100)
    r = np.where(voiced, candidate["strength"], np.nan).clip(1e-3, 1 - 1e-4)
    values: dict[str, Rows] = {
        "f0": [f0, f0 - (np.nanmedian(f0) if voiced.any() else 0.0)],
        "f0 fluctuation": _fluctuation(f0, at),
        "jitter": [_log(perturbation(periods, k, at)) for k in JITTER.values()],
        "shimmer": [_log(perturbation(amplitudes, k, at)) for k in SHIMMER.values()],
        "hnr": [10 * np.log10(r / (1 - r))],
        "intensity": [intensity, np.gradient(intensity)],
        "onset": [_onset(log_mel)],
        "pauses": _pauses(intensity),
        "formants": np.where(voiced, _formants(padded, at), np.nan),
        "mfcc": mfcc,
        "mel": log_mel,
        "lfcc": lfcc,
    }
    return np.concatenate([_with_masks(group, rows) for group, rows in values.items()])


def _with_masks(group: str, rows: Rows) -> np.ndarray:
    """A group's values, 0 where unknown, and its masks: 1 where all that they cover is known."""
    defined = np.isfinite(rows)
    covers: dict[str, list[int]] = {}
    for i, mask in enumerate(LAYOUT[group].values()):
        if mask:
            covers.setdefault(mask, []).append(i)
    masks = np.array([defined[i].all(axis=0) for i in covers.values()])
    out = np.array(rows)
    for known, covered in zip(masks, covers.values(), strict=True):
        out[covered] = np.where(known, out[covered], 0.0)
    return np.concatenate([out, masks] if covers else [out]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Cycles:
    """One value for each cycle of the voice, in order of time (seconds).

    linked: (m - 1,), whether neighbours may be compared. counted: (m,), whether a value belongs
    in the mean.
    """

    times: np.ndarray
    values: np.ndarray
    linked: np.ndarray
    counted: np.ndarray


def cycles(sound: Sound, pitch: Pitch) -> tuple[Cycles, Cycles]:
    """Periods (s) and amplitudes of the glottal cycles, as Praat finds and admits them.

    Pulses by cross-correlation ("To PointProcess (cc)"). Neighbouring periods are compared when
    both last 0.1 to 20 ms and differ by a factor of 1.3 at most, amplitudes when their pulses are
    no further apart and they differ by 1.6 at most ("Get jitter", "Get shimmer").
    """
    points = call([sound, pitch], "To PointProcess (cc)")
    pulses = _table(sound, points, "point")[0]
    period = np.diff(pulses)
    possible = (period >= SHORTEST_S) & (period <= LONGEST_S)
    alike = _alike(period, PERIOD_FACTOR)
    beside = np.concatenate([[False], alike, [False]])[: len(period) + 1]
    counted = possible & (beside[1:] | beside[:-1])
    linked = alike & possible[1:] & possible[:-1]
    periods = Cycles(pulses[:-1] + period / 2, period, linked, counted)
    peaks, amplitude = np.empty((2, 0))
    if linked.any():  # else no pulse has an amplitude
        limits = (0, 0, SHORTEST_S, LONGEST_S, PERIOD_FACTOR)
        peaks, amplitude = _table(sound, points, "period", *limits)
    near = np.diff(peaks)
    linked = _alike(amplitude, AMPLITUDE_FACTOR) & (near >= SHORTEST_S) & (near <= LONGEST_S)
    return periods, Cycles(peaks, amplitude, linked, np.ones(len(peaks), dtype=bool))


def _table(sound: Sound, points, kind: str, *limits: float) -> np.ndarray:
    """Times and amplitudes (2, m) at the pulses: Praat's quickest way to hand over many numbers."""
    if call(points, "Get number of points") < 3:  # fewer have no amplitudes by Praat's definition
        return np.empty((2, 0))
    tier = call([sound, points], f"To AmplitudeTier ({kind})", *limits)
    return call(call(tier, "Down to TableOfReal"), "To Matrix").values.T


def _alike(values: np.ndarray, factor: float) -> np.ndarray:
    """(m,) -> (m - 1,): do neighbours differ by the factor at most?"""
    return np.maximum(values[1:], values[:-1]) <= factor * np.minimum(values[1:], values[:-1])


def perturbation(of: Cycles, terms: int, at: np.ndarray, around_s: float = AROUND_S) -> np.ndarray:
    """Perturbation quotient at each time of `at`, over the cycles within around_s / 2 of it.

    Mean of |v_i - mean of the `terms` values around i|, or for two terms of |v_i - v_(i+1)|, by the
    mean of v. Over the whole clip these are Praat's "Get jitter" and "Get shimmer" (except that
    Praat leaves the last peak out of shimmer's mean). NaN where no cycle has all its neighbours.
    """
    m = len(of.values)
    if m < terms:
        return np.full(len(at), np.nan)
    half = terms // 2
    times, deviation = of.times[half : m - half], np.empty(0)
    if terms == 2:
        times, deviation = (of.times[1:] + of.times[:-1]) / 2, np.abs(np.diff(of.values))
    else:
        smooth = sliding_window_view(of.values, terms).mean(axis=1)
        deviation = np.abs(of.values[half : m - half] - smooth)
    whole = sliding_window_view(of.linked, terms - 1).all(axis=1)
    top = _mean_around(times[whole], deviation[whole], at, around_s)
    return top / _mean_around(of.times[of.counted], of.values[of.counted], at, around_s)


def _mean_around(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, around_s: float
) -> np.ndarray:
    """Mean of the values within around_s / 2 of each time; NaN where there is none."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.searchsorted(times, at - around_s / 2)
    last = np.searchsorted(times, at + around_s / 2, side="right")
    return (total[last] - total[first]) / np.where(last > first, last - first, np.nan)


def _log(quotient: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(quotient, 1e-4))


def _fluctuation(f0: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    voiced = np.isfinite(f0)
    mean, square = (_mean_around(at[voiced], f0[voiced] ** k, at, AROUND_S) for k in (1, 2))
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return [np.gradient(f0), np.where(voiced, spread, np.nan)]


def _intensity(sound: Sound, at: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dB relative to the clip's RMS, -60 at least."""
    contour = sound.to_intensity(100.0, HOP / RATE)
    reference = 10 * np.log10(max(float(np.mean(x**2)), 1e-12) / 4e-10)  # Praat's is 2e-5 Pa
    return np.maximum(np.interp(at, contour.xs(), contour.values[0]) - reference, -60.0)


def _formants(padded: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = Sound(soxr.resample(padded, RATE, 2 * FORMANTS_HZ), 2 * FORMANTS_HZ)  # Praat takes longer
    found = low.to_formant_burg(HOP / RATE, 5, FORMANTS_HZ, 0.025, 50.0)
    rows = [[found.get_value_at_time(k, t) for t in at] for k in (1, 2, 3, 4)]
    rows += [[found.get_bandwidth_at_time(k, t) for t in at] for k in (1, 2, 3)]
    return np.log(np.maximum(rows, 1.0))  # NaN stays NaN


def _spectra(padded: np.ndarray, first: int, frames: int) -> tuple[np.ndarray, ...]:
    """Log-mel bands, MFCC and LFCC, each (rows, frames)."""
    starts = first - WINDOW // 2 + HOP * np.arange(frames)
    pieces = sliding_window_view(padded, WINDOW)[starts] * np.hanning(WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(pieces, N_FFT)) ** 2
    log_mel, log_linear = np.log(power @ MEL + 1e-6), np.log(power @ LINEAR + 1e-6)
    return log_mel.T, (log_mel @ COSINES).T, (log_linear @ COSINES).T


def _onset(log_mel: np.ndarray) -> np.ndarray:
    rise = np.diff(log_mel, axis=1, prepend=log_mel[:, :1])
    return 10 / np.log(10) * np.maximum(rise, 0.0).mean(axis=0)


def _pauses(intensity: np.ndarray) -> list[np.ndarray]:
    """1 in a pause, and the length of the pause or of the speech that holds the frame, in s."""
    pause = intensity < intensity.max() - PAUSE_DB
    for kind in (False, True):  # what is too short joins its surroundings: bursts, then pauses
        length = _run_lengths(pause)
        pause = np.where((pause == kind) & (length < PAUSE_S), not kind, pause)
    seconds = _run_lengths(pause)
    return [pause.astype(float), seconds * pause, seconds * ~pause]


def _run_lengths(mask: np.ndarray) -> np.ndarray:
    """Seconds that the run of equal values around each frame lasts."""
    run = np.cumsum(np.diff(mask, prepend=mask[:1]))
    return np.bincount(run)[run] * HOP / RATE
