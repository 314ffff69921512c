"""Decoding hostile sound: a path, bytes or (rate, array) in, one channel at 16 kHz out.

WAV and AIFF are decoded by `pcm`, all else (FLAC, MP3, Ogg, Opus, M4A, AAC, WebM, AMR, ...) by
FFmpeg's libraries, which read to the end of a file where others stop at the length that its header
claims. Recordings come from strangers, so FFmpeg gets only the demuxers and decoders named below
and no address that a file refers to. Nothing is decoded before it is asked for, and little at a
time.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.stream import Disposition

from .chained import Section, missing_pages, recordings
from .durations import mp3_promise, ogg_ends
from .mixing import BLOCK, Block, Levels, check_format, mix, too_long
from .pcm import pcm_blocks, pcm_layout, scaled
from .waveform import AudioError

Source = str | Path | bytes | tuple[int, np.ndarray]
PATIENCE = 2000  # packets without sound, more than those with sound, until decoding is given up
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # of MP3: no sound, and no damage
# What FFmpeg may open and decode, by its names.
DEMUXERS = "wav,w64,aiff,caf,flac,ogg,mp3,aac,ac3,amr,mov,matroska,avi,asf,flv,mpegts"
DECODERS = (
    "aac,aac_latm,ac3,alac,amrnb,amrwb,eac3,flac,gsm,gsm_ms,mp2,mp2float,mp3,mp3float,opus,vorbis,"
    "wmav1,wmav2,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,"
    "pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
OPTIONS = {
    "format_whitelist": DEMUXERS,
    "codec_whitelist": DECODERS,
    "protocol_whitelist": "none",  # playlists and references in a file lead nowhere
}


@dataclass
class Decoded:
    """What is known of a recording once it is decoded; plain values, to be sent as JSON.

    Attributes:
        track, tracks: Which of how many audio tracks this is, by preference: the file's default
            first.
        place: The same track's place in the file, from 0.
        channel_instead: See `Levels`.
        promised: Seconds that the file claims to hold, None where it does not say.
        reached: The time stamp, in seconds, at which the last sound ends.
        coded: Bytes of the encoded sound, without pictures, tags and index.
    """

    container: str
    codec: str
    rate: int
    channels: int
    track: int = 0
    tracks: int = 1
    place: int = 0
    peak: float = 0.0
    clipped: float = 0.0
    channel_instead: int | None = None
    promised: float | None = None
    reached: float = 0.0
    coded: int = 0
    notes: list[str] = field(default_factory=list)


def decode(
    source: Source,
    limit: float,
    track: int,
    channel: int | None,
    write: Callable[[np.ndarray], object],
) -> Decoded:
    """Decode one track of a recording.

    Args:
        source: A path, a file's bytes, or a sample rate and an array (n,) or (n, channels).
        limit: Seconds at which decoding stops.
        track: Number of the track by preference; those without any sound are passed over.
        channel: The one to take; None for the mean over all.
        write: Is given the samples, (n,) float32 at 16 kHz, bit by bit.

    Raises:
        AudioError: The file cannot be opened or decoded, or is longer than the limit.
    """
    with ExitStack() as stack:
        try:
            found, blocks = _open(source, limit, track, stack)
            check_format(found.rate, found.channels)
            levels = Levels(found.codec)
            mix(blocks, levels, limit, channel, write)
        except OSError as error:  # a failing disk, a file of /proc
            reason = error.strerror or type(error).__name__
            raise AudioError("unreadable", f"The file could not be read: {reason}.") from error
    found.peak, found.clipped = levels.peak, levels.clipped
    found.channel_instead = levels.channel_instead
    return found


def _open(
    source: Source, limit: float, track: int, stack: ExitStack
) -> tuple[Decoded, Iterator[Block]]:
    if isinstance(source, tuple):
        return _array(*source)
    file = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else _file(source))
    if not file.read(1):
        raise AudioError("empty", "The file is empty.")
    layout = pcm_layout(file)
    if layout:
        check_format(layout.rate, layout.channels)
        if layout.seconds > limit:
            raise too_long(limit)
        found = Decoded(layout.container, layout.codec, layout.rate, layout.channels)
        found.promised, found.notes = layout.promised, list(layout.notes)
        return found, ((layout.rate, b) for b in pcm_blocks(file, layout, BLOCK))
    sections = recordings(file)
    found, blocks = _ffmpeg(sections[0], track, stack)
    if len(sections) > 1:
        found.promised = None
        blocks = chain(blocks, _rest(sections[1:], found, track, stack))
    if found.container == "ogg":
        if missing := missing_pages(file):
            found.notes.append(f"damaged: the Ogg stream lacks {missing} of its pages")
        if not ogg_ends(file):
            found.notes.append("the Ogg stream has no end mark: it may have been cut off")
    return found, _one_format(blocks, found)


def _rest(sections: list[Section], found: Decoded, track: int, stack: ExitStack) -> Iterator[Block]:
    """The recordings that follow the first one in a file."""
    for section in sections:
        try:
            more, blocks = _ffmpeg(section, track, stack)
        except AudioError:
            found.notes.append("damaged: a recording behind the first one could not be decoded")
            continue
        yield from blocks
        found.coded += more.coded
        found.notes += [note for note in more.notes if note not in found.notes]


def _one_format(blocks: Iterator[Block], found: Decoded) -> Iterator[Block]:
    """The same blocks; a note where rate or channels change midway."""
    changed = False
    for rate, block in blocks:
        if not changed and (rate, block.shape[1]) != (found.rate, found.channels):
            changed = True
            found.notes.append(
                f"the sound changes its format midway, to {rate} Hz and {block.shape[1]} channels"
            )
        yield rate, block


def _array(rate: int, array: np.ndarray) -> tuple[Decoded, Iterator[Block]]:
    array = np.asarray(array)
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if array.ndim not in (1, 2) or kind not in "iuf":
        raise AudioError(
            "unreadable",
            f"An array of shape {array.shape} and type {array.dtype} is not sound: give real "
            "numbers as (n,) or (n, channels).",
        )
    frames = array[:, None] if array.ndim == 1 else array
    blocks = ((int(rate), scaled(frames[i : i + BLOCK])) for i in range(0, len(frames), BLOCK))
    codec = f"pcm_{'s' if kind == 'i' else kind}{bits}"
    return Decoded("array", codec, int(rate), frames.shape[1]), blocks


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


def _ffmpeg(section: Section, track: int, stack: ExitStack) -> tuple[Decoded, Iterator[Block]]:
    """Open the first track from `track` on, by preference, that holds any sound."""
    while True:
        section.seek(0)
        container = stack.enter_context(_container(section))
        streams = container.streams.audio
        if not streams:
            raise AudioError("no-audio", "The file holds no sound: it has no audio track.")
        order = sorted(filter(_decodable, streams), key=lambda s: not s.disposition & DEFAULT)
        if not order:
            raise _unknown_codec(streams[0])
        stream = order[min(track, len(order) - 1)]
        found = _described(container, stream)
        frames = _frames(container, stream, found)
        first = next(frames, None)
        if first is not None:
            break
        track += 1
        if track >= len(order):
            raise AudioError("empty", "The recording is empty: no sound could be decoded from it.")
    found.rate, found.channels = first.sample_rate, first.layout.nb_channels
    found.track, found.tracks = order.index(stream), len(order)
    found.place = list(streams).index(stream)
    found.promised = _promised(container, stream, first.sample_rate, section)

    def blocks() -> Iterator[Block]:
        for frame in chain([first], frames):
            samples = scaled(frame.to_ndarray())
            if frame.time is not None:
                found.reached = frame.time + frame.samples / frame.sample_rate
            channels = frame.layout.nb_channels
            yield (
                frame.sample_rate,
                samples.T if frame.format.is_planar else samples.reshape(-1, channels),
            )

    return found, blocks()


DEFAULT = Disposition.default


def _described(container: av.container.InputContainer, stream: av.AudioStream) -> Decoded:
    """What is known of a track before its first sound."""
    name, codec = container.format.name, stream.codec_context.codec.canonical_name
    return Decoded(
        container=name.split(",")[:2][-1],  # mov,mp4,m4a,...; matroska,webm; aac
        codec=codec.removesuffix("le").removesuffix("be") if codec.startswith("pcm_") else codec,
        rate=0,
        channels=0,
    )


def _container(section: Section) -> av.container.InputContainer:
    try:
        return av.open(section, "r", options=OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(
            "unreadable",
            "The file could not be read as sound: it is damaged, or not WAV, FLAC, MP3, Ogg, Opus, "
            "M4A, MP4, AAC, WebM, AMR or another common format.",
        ) from error


def _promised(
    container: av.container.InputContainer, stream: av.AudioStream, rate: int, file: Section
) -> float | None:
    """Seconds that a file claims; FFmpeg guesses a duration where a format states none."""
    name = container.format.name
    if "matroska" in name and container.duration and not container.streams.video:
        return container.duration / 1_000_000
    if not ("mov" in name or name in ("flac", "mp3")) or not stream.duration:
        return None
    stated = float(stream.duration * stream.time_base) if stream.time_base else None
    if stated and name == "mp3":  # stated, or guessed from the bit rate?
        promise = mp3_promise(file, rate)
        return None if promise is None else min(stated, promise)
    return stated


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream, found: Decoded
) -> Iterator[av.AudioFrame]:
    """Decode what can be decoded; notes count the packets that cannot, and say if much is lost."""
    notes = found.notes
    stream.codec_context.thread_count = 1
    damaged = silent = 0
    try:
        for packet in container.demux(stream):
            silent += 1
            found.coded += packet.size
            try:
                for frame in packet.decode():
                    if frame.samples:
                        silent -= silent > -PATIENCE
                        yield frame
            except av.FFmpegError:
                damaged += not bytes(packet).startswith(TAGS)
            if silent > PATIENCE:
                notes.append("damaged: decoding was given up, since hardly any sound came of it")
                break
    except (av.FFmpegError, IndexError):  # IndexError: a track that turned up midway (MPEG-TS)
        notes.append("damaged: decoding stopped early")
    if damaged:
        packets = "1 packet" if damaged == 1 else f"{damaged} packets"
        notes.append(f"damaged: left out {packets} that could not be decoded")


def _decodable(stream: av.AudioStream) -> bool:
    context = stream.codec_context
    return context is not None and context.name in DECODERS.split(",")


def _unknown_codec(stream: av.AudioStream) -> AudioError:
    context = stream.codec_context
    name = "unknown" if context is None else context.codec.canonical_name
    return AudioError(
        "unreadable",
        f"Sound encoded as {name} is not read here: convert the recording to PCM WAV or FLAC.",
    )
