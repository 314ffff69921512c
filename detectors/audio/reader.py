"""Reading sound: a path, bytes or (rate, array) in, a mono 16 kHz Waveform with facts out.

    wave = read("clip.m4a")
    wave.samples, wave.facts.speech_seconds

Decoding, mixing and resampling go block by block, so a long recording never stands in memory at its
full rate. What may be opened, and by which library, is in decode.py.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from .decoder import BLOCK, AudioError, Track, open_track

RATE = 16_000
SHORTEST = 0.5  # seconds
LONGEST = 4 * 3600.0  # seconds; 0.9 GB at 16 kHz, and what stops a decompression bomb
MOST_CHANNELS = 8
RATES = (8_000, 192_000)  # Hz, lowest and highest original rate
VAD_LOCK = threading.Lock()  # silero's network keeps its state between frames
# The largest level that a codec can write, where that is below the 32767/32768 of 16 bits.
FULL_SCALE = {"pcm_u8": 127 / 128, "pcm_s8": 127 / 128, "pcm_mulaw": 0.98, "pcm_alaw": 0.984}


@dataclass(frozen=True)
class Facts:
    """What a recording was before it became mono at 16 kHz.

    clipped is the share of original samples at full scale, peak the largest original level (1.0 is
    full scale), bandwidth_hz see `bandwidth`, speech_seconds see `speech_seconds`.
    """

    seconds: float
    rate: int
    channels: int
    container: str
    codec: str
    peak: float
    clipped: float
    bandwidth_hz: float
    speech_seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Waveform:
    """A recording that can be scored: samples (n,) float32, mono, 16 kHz, |x| <= 1."""

    samples: np.ndarray
    facts: Facts


def bare(samples: np.ndarray) -> Waveform:
    """Samples (n,) float32 at 16 kHz as a recording of which nothing else is known."""
    peak = float(np.abs(samples).max(initial=0.0))
    return Waveform(samples, Facts(len(samples) / RATE, RATE, 1, "", "", peak, 0.0, 0.0, 0.0, ()))


def read(
    source: str | Path | bytes | tuple[int, np.ndarray], *, max_seconds: float | None = None
) -> Waveform:
    """Read a recording from a path, from a file's bytes or from (rate, array).

    An array is (n,) or (n, channels); integers are scaled by their type's range. Channels are
    averaged. A recording with levels above full scale is turned down as a whole. A truncated or
    damaged file is read as far as it goes, and facts.notes says so.

    max_seconds: longest recording accepted, at most LONGEST (four hours, the default); decoding
    stops there.
    Raises AudioError with one clear sentence for what cannot be scored: unreadable, empty, without
    an audio track, with NaN or infinite samples, shorter than 0.5 s, without speech, too long.
    """
    limit = LONGEST if max_seconds is None else min(max_seconds, LONGEST)
    with ExitStack() as stack:
        track = open_track(source, stack)
        samples, peak, clipped = _mono_16k(track, limit)

    seconds = len(samples) / RATE
    if not len(samples):
        raise AudioError("empty", "The recording is empty: it holds no sound at all.")
    notes = list(track.notes)
    if track.declared and track.declared - seconds > 0.1:
        notes.insert(0, f"truncated: decoded {seconds:.1f} of {track.declared:.1f} s")
    if seconds < SHORTEST:
        raise AudioError(
            "too-short",
            f"The recording is too short: {seconds:.2f} s, and at least {SHORTEST} s are needed.",
        )
    top = float(max(samples.max(), -samples.min()))
    if top > 1:
        samples /= top
    if peak > 1.5:  # decoders of lossy formats overshoot a little: not worth a word
        notes.append(f"peak {peak:.3g} is above full scale: turned down")
    speech = speech_seconds(samples)
    if not speech:
        raise AudioError("no-speech", "No speech was found in the recording.")
    facts = Facts(
        seconds=seconds,
        rate=track.rate,
        channels=track.channels,
        container=track.container,
        codec=track.codec,
        peak=peak,
        clipped=clipped,
        bandwidth_hz=bandwidth(samples),
        speech_seconds=speech,
        notes=tuple(notes),
    )
    return Waveform(samples, facts)


def bandwidth(samples: np.ndarray) -> float:
    """Effective bandwidth in Hz of (n,) samples at 16 kHz, at most 8000.

    It is the highest frequency at which the long-term power spectrum (mean over 64-ms Hann frames,
    smoothed over 250 Hz) lies within 55 dB of its maximum above 100 Hz. Speech recorded at 16 kHz
    or more reaches 6 kHz and mostly 7.5 kHz, whatever the microphone; telephone speech and 8-kHz
    originals that were upsampled stay below 4.4 kHz.
    """
    size, frames = 1024, 4096
    hann = np.hanning(size).astype(np.float32)
    power = np.zeros(size // 2 + 1)
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2]
    for start in range(0, len(windows), frames):  # in pieces: the frames of an hour take 0.5 GB
        spectrum = np.fft.rfft(windows[start : start + frames] * hann)
        power += np.square(np.abs(spectrum)).sum(axis=0)
    smooth = np.convolve(power, np.full(16, 1 / 16), mode="same")
    hz = np.fft.rfftfreq(size, 1 / RATE)
    heard = smooth > smooth[hz >= 100].max() * 10**-5.5
    return float(hz[heard].max()) if heard.any() else 0.0


def speech_spans(samples: np.ndarray) -> list[tuple[float, float]]:
    """Where silero-vad hears speech in (n,) samples at 16 kHz: (start, end) in seconds.

    The samples are brought to one level first, so that the answer does not depend on the gain.
    Takes about 10 ms per second of sound.
    """
    import torch  # here, since it takes seconds

    rms = float(np.dot(samples, samples) / max(1, len(samples))) ** 0.5
    if not rms > 0:
        return []
    levelled = np.clip(samples * (0.05 / rms), -1, 1).astype(np.float32)
    with VAD_LOCK, _one_thread():
        model, timestamps = _silero()
        spans = timestamps(torch.from_numpy(levelled), model, sampling_rate=RATE)
    return [(span["start"] / RATE, span["end"] / RATE) for span in spans]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: frames of 32 ms are too small to share, least of all when busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def _silero() -> tuple[Any, Callable[..., list[dict[str, int]]]]:
    from silero_vad import get_speech_timestamps, load_silero_vad

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.load, which it uses
        return load_silero_vad(), get_speech_timestamps


def speech_seconds(samples: np.ndarray) -> float:
    """Seconds of speech in (n,) samples at 16 kHz.

    More than ten minutes are sampled: what is heard in 20 evenly spaced stretches of 30 s is scaled
    to the whole. Where they hold none, all is searched, and the first stretch with speech counts.
    """
    n, size = len(samples), 30 * RATE
    if n <= 600 * RATE:
        return _speech(samples)
    heard = sum(_speech(samples[i : i + size]) for i in np.linspace(0, n - size, 20).astype(int))
    if heard:
        return heard * n / (20 * size)
    return next(filter(None, (_speech(samples[i : i + size]) for i in range(0, n, size))), 0.0)


def _speech(samples: np.ndarray) -> float:
    return sum(end - start for start, end in speech_spans(samples))


def _mono_16k(track: Track, limit: float) -> tuple[np.ndarray, float, float]:
    """Decode a track: samples at 16 kHz, original peak, share of original samples at full scale."""
    _check(track, limit)
    full_scale = FULL_SCALE.get(track.codec, 32767 / 32768)
    resampler = soxr.ResampleStream(track.rate, RATE, 1, dtype="float32", quality="HQ")
    samples = bytearray()  # grows in place: joining arrays would take the memory twice
    frames, full, peak = 0, 0, 0.0
    for block in _batched(track.blocks):
        level = np.abs(block)
        peak = max(peak, top := float(level.max()))
        if not top < 1e30:  # NaN, infinite, or about to become so when channels are added
            raise AudioError("not-finite", "The recording holds NaN or infinite samples.")
        frames += len(block)
        if frames > limit * track.rate:
            raise _too_long(limit)
        full += int((level >= full_scale).sum())
        mono = block.mean(axis=1, dtype=np.float32)
        samples += (mono if track.rate == RATE else resampler.resample_chunk(mono)).data
    if track.rate != RATE:
        samples += resampler.resample_chunk(np.empty(0, np.float32), last=True).data
    clipped = full / max(1, frames * track.channels)
    return np.frombuffer(samples, np.float32), peak, clipped


def _check(track: Track, limit: float) -> None:
    if not 1 <= track.channels <= MOST_CHANNELS:
        raise AudioError(
            "unreadable",
            f"The recording has {track.channels} channels; 1 to {MOST_CHANNELS} can be read.",
        )
    if not RATES[0] <= track.rate <= RATES[1]:
        raise AudioError(
            "unreadable",
            f"The recording has a sample rate of {track.rate} Hz; {RATES[0]} to {RATES[1]} Hz can "
            "be read.",
        )
    if track.declared and track.declared > limit:
        raise _too_long(limit)


def _too_long(limit: float) -> AudioError:
    length = f"{limit / 60:g} minutes" if limit >= 120 else f"{limit:g} s"
    return AudioError("too-long", f"The recording is longer than the limit of {length}.")


def _batched(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Join small blocks to ones of BLOCK frames or more; the last may be shorter, none is empty."""
    waiting: list[np.ndarray] = []
    frames = 0
    for block in blocks:
        waiting.append(block)
        frames += len(block)
        if frames >= BLOCK:
            yield np.concatenate(waiting)
            waiting, frames = [], 0
    if frames:
        yield np.concatenate(waiting)
