"""Reading sound: a path, bytes or (rate, array) in, a mono 16 kHz Waveform with facts out.

    wave = read("clip.m4a")
    wave.samples, wave.facts.speech_seconds

Decoding, mixing and resampling go block by block, so a long recording never stands in memory at its
full rate. What may be opened, and by which library, is in decode.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soxr

from .bandwidth import bandwidth
from .decoder import BLOCK, Track, open_track
from .voice_activity import speech_seconds
from .waveform import RATE, AudioError, Facts, Waveform

SHORTEST = 0.5  # seconds
LONGEST = 4 * 3600.0  # seconds; 0.9 GB at 16 kHz, and what stops a decompression bomb
MOST_CHANNELS = 8
RATES = (8_000, 192_000)  # Hz, lowest and highest original rate
# The largest level that a codec can write, where that is below the 32767/32768 of 16 bits.
FULL_SCALE = {"pcm_u8": 127 / 128, "pcm_s8": 127 / 128, "pcm_mulaw": 0.98, "pcm_alaw": 0.984}


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
