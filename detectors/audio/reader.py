"""Reading sound: a path, bytes or (rate, array) in, a mono 16 kHz Waveform with facts out.

    wave = read("clip.m4a")
    wave.samples, wave.facts.speech_seconds

Files are decoded by a process of its own (`worker`), block by block, so a long recording never
stands in memory at its full rate. What may be opened, and by which library, is in `decoder`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bandwidth import bandwidth
from .decoder import Decoded, Source, decode
from .offset import offset
from .silence import audible
from .voice_activity import speech_spans
from .waveform import RATE, AudioError, Facts, Waveform
from .worker import decode_isolated

SHORTEST = 0.5  # seconds
LONGEST = 4 * 3600.0  # seconds; 0.9 GB at 16 kHz, and what stops a decompression bomb
LOSSY = {"opus", "aac", "mp3", "mp2", "vorbis", "amr_nb", "amr_wb", "gsm", "ac3", "eac3"}
LOSSY |= {"aac_latm", "gsm_ms", "wmav1", "wmav2"}
MOST_TRACKS = 8  # that are searched for speech


def read(
    source: Source, *, max_seconds: float | None = None, require_speech: bool = True
) -> Waveform:
    """Read a recording.

    Channels are averaged, unless they cancel out. Of several tracks the default one is read, or,
    where it holds no speech, the first that does. A recording with levels above full scale is
    turned down as a whole, and its offset is taken out. A truncated or damaged file is read
    as far as it goes. facts.notes says what was done. Long silences are left out (`silence`).

    Args:
        source: A path, a file's bytes or (rate, array). An array is (n,) or (n, channels), and
            integers are scaled by their type's range.
        max_seconds: Longest recording accepted, at most LONGEST (four hours, the default); decoding
            stops there.
        require_speech: False for clips whose label decides what they are, as in a corpus: those
            that are short or without speech are read as well, and speech is not looked for.

    Raises:
        AudioError: It cannot be scored: unreadable, empty, without an audio track, with NaN or
            infinite samples, too long and, if speech is required, under 0.5 s or without speech.
    """
    limit = LONGEST if max_seconds is None else min(max_seconds, LONGEST)
    track = _best_track(source, limit, require_speech)
    found, seconds = track.found, track.seconds
    notes = list(found.notes)
    lost = _lost(found, seconds)
    if lost:
        notes.insert(0, lost)
    if found.tracks > 1:
        notes.append(_which_track(found))
    if found.channel_instead is not None:
        notes.append(
            f"the channels cancel each other out: only channel {found.channel_instead + 1} was read"
        )
    notes += track.notes
    if require_speech and seconds < SHORTEST:
        raise AudioError(
            "too-short",
            f"The recording is too short: {seconds:.2f} s, and at least {SHORTEST} s are needed.",
        )
    if require_speech and not track.spans:
        raise AudioError("no-speech", "No speech was found in the recording.")
    facts = Facts(
        seconds=seconds,
        rate=found.rate,
        channels=found.channels,
        container=found.container,
        codec=found.codec,
        peak=found.peak,
        clipped=found.clipped,
        bandwidth_hz=bandwidth(track.samples),
        speech_seconds=sum(end - start for start, end in track.spans or ()),
        notes=tuple(notes),
        kbps=round(8 * found.coded / seconds / 1000, 1) if found.codec in LOSSY else None,
    )
    return Waveform(track.samples, facts, track.kept, track.spans)


@dataclass(frozen=True)
class _Track:
    """A decoded track without its silences; seconds: with them. The rest as in Waveform."""

    found: Decoded
    seconds: float
    notes: list[str]
    samples: np.ndarray
    kept: tuple[tuple[int, int], ...]
    spans: tuple[tuple[float, float], ...] | None


def _best_track(source: Source, limit: float, require_speech: bool) -> _Track:
    """The first track that holds speech, else the first."""
    first = None
    number = 0
    while True:
        try:
            samples, found = decoded(source, limit, number)
        except AudioError:
            if first is None:
                raise
            return first
        notes, seconds = _level(samples, found.peak), len(samples) / RATE
        kept = tuple(audible(samples))
        if len(samples) == sum(end - start for start, end in kept):
            kept = ()
        if kept:
            samples = np.concatenate([samples[start:end] for start, end in kept])
        samples -= np.float32(samples.mean(dtype=np.float64))  # of what is no silence
        _turn_down(samples)
        look = seconds >= SHORTEST and (require_speech or found.tracks > 1)
        spans = tuple(speech_spans(samples)) if look else None
        track = _Track(found, seconds, notes, samples, kept, spans)
        first = first or track
        number = found.track + 1
        if spans:
            return track
        if number >= min(found.tracks, MOST_TRACKS):
            return first


def decoded(source: Source, limit: float = LONGEST, track: int = 0) -> tuple[np.ndarray, Decoded]:
    """All of a track, (n,) float32 at 16 kHz, of one channel where all together cancel out.

    source, and AudioError: as in `read`, which leaves silence out and levels what is left.
    """
    samples, found = _channel(source, limit, track, None)
    channel = found.channel_instead
    if channel is not None:
        samples, again = _channel(source, limit, found.track, channel)
        again.channel_instead = channel
        found = again
    if not len(samples):
        raise AudioError("empty", "The recording is empty: it holds no sound at all.")
    return samples, found


def _channel(
    source: Source, limit: float, track: int, channel: int | None
) -> tuple[np.ndarray, Decoded]:
    samples = bytearray()  # grows in place: joining arrays would take the memory twice
    if isinstance(source, tuple):
        found = decode(source, limit, track, channel, lambda block: samples.extend(block.tobytes()))
    else:
        found = decode_isolated(source, limit, track, channel, samples.extend)
    return np.frombuffer(samples, np.float32), found


def _level(samples: np.ndarray, peak: float) -> list[str]:
    """Take out an offset and bring the level to 1 at most, in place; returns notes on it."""
    notes = []
    _turn_down(samples)
    constant = offset(samples)
    if constant:
        samples -= constant
        _turn_down(samples)
        notes.append(f"a constant offset of {constant:+.2g} was taken out")
    if peak > 1.5:  # decoders of lossy formats overshoot a little: not worth a word
        notes.append(f"peak {peak:.3g} is above full scale: turned down")
    return notes


def _turn_down(samples: np.ndarray) -> None:
    top = float(max(samples.max(), -samples.min()))
    if top > 1:
        samples /= top


def _lost(found: Decoded, seconds: float) -> str:
    """A note on what the file promises and does not hold; empty where that is nothing.

    Where time stamps go on to the end, what is missing is a pause that was not recorded, but for
    FLAC, which knows no pauses: there a part is damaged.
    """
    promised = found.promised or 0.0
    if promised - seconds <= 0.1:
        return ""
    ends = promised - found.reached <= 0.1
    if ends and found.container != "flac":
        return ""
    return f"{'damaged' if ends else 'truncated'}: decoded {seconds:.1f} of {promised:.1f} s"


def _which_track(found: Decoded) -> str:
    """A note on which of several tracks was read."""
    ordinals = ("first", "second", "third", "fourth")
    which = ordinals[found.place] if found.place < len(ordinals) else f"{found.place + 1}th"
    why = ", since speech was found in it" if found.track else ""
    return f"{found.tracks} audio tracks: the {which} was read{why}"
