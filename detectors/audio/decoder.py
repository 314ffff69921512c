"""Opening hostile sound: a path, bytes or (rate, array) in, blocks of samples out.

WAV is decoded by libsndfile, everything else (FLAC, MP3, Ogg, Opus, M4A, AAC, WebM, AMR, ...) by
FFmpeg's libraries, which read to the end of a file where libsndfile stops at the length that its
header claims. Recordings come from strangers, so libsndfile sees only headers whose encoding is on
a list (its ADPCM decoders overflow while a file is being opened, CVE-2026-37555), and FFmpeg gets
only the demuxers and decoders named below and no address that a file refers to. Nothing is decoded
before it is asked for, and little at a time.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile as sf

from .durations import endless_wav, mp3_promise, ogg_ends, wav_promise, wav_tag
from .waveform import AudioError

BLOCK = 1 << 16  # samples per channel that are handled in one go
# What libsndfile may decode, by its names, and ours.
SUBTYPES = {
    "PCM_U8": "pcm_u8",
    "PCM_S8": "pcm_s8",
    "PCM_16": "pcm_s16",
    "PCM_24": "pcm_s24",
    "PCM_32": "pcm_s32",
    "FLOAT": "pcm_f32",
    "DOUBLE": "pcm_f64",
    "ULAW": "pcm_mulaw",
    "ALAW": "pcm_alaw",
}
WAV_TAGS = (1, 3, 6, 7)  # the same in a WAV header: PCM, float, A-law, mu-law
# What FFmpeg may open and decode, by its names.
DEMUXERS = "wav,w64,aiff,caf,flac,ogg,mp3,aac,ac3,amr,mov,matroska,avi,asf,flv,mpegts"
DECODERS = (
    "aac,aac_latm,ac3,alac,amrnb,amrwb,eac3,flac,gsm,gsm_ms,mp2,mp2float,mp3,mp3float,opus,vorbis,"
    "wmav1,wmav2,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,"
    "pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)


@dataclass
class Track:
    """An opened recording: blocks yields (n, channels) float32, once, and may add to notes."""

    container: str
    codec: str
    rate: int
    channels: int
    blocks: Iterator[np.ndarray]
    declared: float | None = None  # seconds that the file claims to hold
    notes: list[str] = field(default_factory=list)


def open_track(source: str | Path | bytes | tuple[int, np.ndarray], stack: ExitStack) -> Track:
    """Open a source with the library that fits; the stack closes what was opened."""
    if isinstance(source, tuple):
        return _array_track(*source)
    file = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else _file(source))
    if not file.read(1):
        raise AudioError("empty", "The file is empty.")
    endless = endless_wav(file)
    if not endless and wav_tag(file) in WAV_TAGS:
        file.seek(0)
        try:
            sound = stack.enter_context(sf.SoundFile(file))
        except (sf.SoundFileError, TypeError):  # TypeError: a sound file that is named *.raw
            pass  # FFmpeg has its turn
        else:
            return _sndfile_track(sound, file)
    file.seek(0)
    options = {"format_whitelist": DEMUXERS, "codec_whitelist": DECODERS}
    options["protocol_whitelist"] = "none"  # playlists and references in a file lead nowhere
    try:
        container = av.open(file, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(
            "unreadable",
            "The file could not be read as sound: it is damaged, or not WAV, FLAC, MP3, Ogg, Opus, "
            "M4A, MP4, AAC, WebM, AMR or another common format.",
        ) from error
    track = _ffmpeg_track(stack.enter_context(container), file)
    if endless:
        track.notes.append("the header does not say how long it is: all that follows was read")
    return track


def _array_track(rate: int, array: np.ndarray) -> Track:
    array = np.asarray(array)
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if array.ndim not in (1, 2) or kind not in "iuf":
        raise AudioError(
            "unreadable",
            f"An array of shape {array.shape} and type {array.dtype} is not sound: give real "
            "numbers as (n,) or (n, channels).",
        )
    frames = array[:, None] if array.ndim == 1 else array
    blocks = (_scaled(frames[i : i + BLOCK]) for i in range(0, len(frames), BLOCK))
    codec = f"pcm_{'s' if kind == 'i' else kind}{bits}"
    return Track("array", codec, int(rate), frames.shape[1], blocks, len(frames) / max(1, rate))


def _scaled(x: np.ndarray) -> np.ndarray:
    """Any real samples as float32, integers scaled by their type's range to [-1, 1]."""
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is refused
            return x.astype(np.float32)
    half = 2.0 ** (8 * x.dtype.itemsize - 1)
    zero = half if x.dtype.kind == "u" else 0.0
    wide: np.ndarray = x.astype(np.float64 if x.dtype.itemsize > 2 else np.float32)
    return ((wide - zero) / half).astype(np.float32)


def _file(path: str | Path) -> BinaryIO:
    path = Path(path)
    try:
        if stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return path.open("rb")
    except FileNotFoundError as error:
        raise AudioError("unreadable", f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise AudioError("unreadable", f"The file could not be opened: {error}.") from error
    raise AudioError("unreadable", f"What stands at {path} is a folder or a device, no file.")


def _sndfile_track(sound: sf.SoundFile, file: BinaryIO) -> Track:
    codec = SUBTYPES.get(sound.subtype)
    if codec is None:
        raise _unknown_codec(sound.subtype)

    def blocks() -> Iterator[np.ndarray]:
        try:
            while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
                yield block
        except sf.SoundFileError:
            pass  # the missing seconds tell

    declared = sound.frames / max(1, sound.samplerate) * wav_promise(file)
    return Track("wav", codec, sound.samplerate, sound.channels, blocks(), declared)


def _ffmpeg_track(container: av.container.InputContainer, file: BinaryIO) -> Track:
    if not container.streams.audio:
        raise AudioError("no-audio", "The file holds no sound: it has no audio track.")
    stream = container.streams.audio[0]
    decoder = stream.codec_context
    if decoder is None or decoder.name not in DECODERS.split(","):
        raise _unknown_codec("unknown" if decoder is None else decoder.codec.canonical_name)
    notes: list[str] = []
    if len(container.streams.audio) > 1:
        notes.append(f"{len(container.streams.audio)} audio tracks: the first was read")
    frames = _ffmpeg_frames(container, stream, notes)
    first = next(frames, None)
    if first is None:
        raise AudioError("empty", "The recording is empty: no sound could be decoded from it.")
    rate, channels = first.sample_rate, first.layout.nb_channels

    def blocks() -> Iterator[np.ndarray]:
        for frame in chain([first], frames):
            if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
                notes.append("the sound changes its format midway: the rest was left out")
                return
            samples = _scaled(frame.to_ndarray())
            yield samples.T if frame.format.is_planar else samples.reshape(-1, channels)

    # FFmpeg guesses a duration where a format states none; these state it.
    name, declared = container.format.name, None
    if ("mov" in name or name in ("flac", "mp3")) and stream.duration and stream.time_base:
        declared = float(stream.duration * stream.time_base)
    elif "matroska" in name and container.duration and not container.streams.video:
        declared = container.duration / 1_000_000
    if declared and name == "mp3":  # stated, or guessed from the bit rate?
        promise = mp3_promise(file, rate)
        declared = None if promise is None else min(declared, promise)
    if name == "ogg" and not ogg_ends(file):
        notes.append("the Ogg stream has no end mark: it may have been cut off")
    codec = decoder.codec.canonical_name
    return Track(
        container=name.split(",")[:2][-1],  # mov,mp4,m4a,...; matroska,webm; aac
        codec=codec.removesuffix("le").removesuffix("be") if codec.startswith("pcm_") else codec,
        rate=rate,
        channels=channels,
        blocks=blocks(),
        declared=declared,
        notes=notes,
    )


def _ffmpeg_frames(
    container: av.container.InputContainer, stream: av.AudioStream, notes: list[str]
) -> Iterator[av.AudioFrame]:
    """Decode what can be decoded; notes count the packets that cannot, and say if much is lost."""
    damaged = 0
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                damaged += 1
    except (av.FFmpegError, IndexError):  # IndexError: a track that turned up midway (MPEG-TS)
        notes.append("damaged: decoding stopped early")
    if damaged:
        notes.append(f"damaged: {damaged} packets could not be decoded and were left out")


def _unknown_codec(name: str) -> AudioError:
    return AudioError(
        "unreadable",
        f"Sound encoded as {name} is not read here: convert the recording to PCM WAV or FLAC.",
    )
