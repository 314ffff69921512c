"""Recordings in memory: one voice in every format that can be made here."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import soundfile as sf
import soxr
from scipy.signal import lfilter
from voice import voice


def _from_loud_to_loud() -> np.ndarray:
    """Two seconds of voice without offset or quiet ends, so that the reader leaves it as it is."""
    x = lfilter([1, -1], [1, -0.99], voice(4, seed=1)).astype(np.float32)  # no lopsided vowels
    loud = np.abs(x) > 0.2
    start = int(np.flatnonzero(loud[:-31_999] & loud[31_999:])[0])
    x = x[start : start + 32_000] - x[start : start + 32_000].mean()
    return x * np.float32(0.5 / np.abs(x).max())


VOICE = _from_loud_to_loud()
NOISE = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)


def at(rate: int, x: np.ndarray = VOICE) -> np.ndarray:
    return soxr.resample(x, 16_000, rate)


def sndfile(kind: str, subtype: str, rate: int = 16_000, x: np.ndarray = VOICE) -> bytes:
    file = io.BytesIO()
    sf.write(file, at(rate, x), rate, format=kind, subtype=subtype)
    return file.getvalue()


def ffmpeg(path: Path, codec: str, rate: int, **options: str) -> bytes:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        pcm = (at(rate)[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = rate
        form = stream.codec_context.format or "s16"
        resampler = av.AudioResampler(format=form, layout="mono", rate=rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(piece):
                container.mux(packet)
    return path.read_bytes()


def every_format(folder: Path) -> dict[str, bytes]:
    """One voice in every format that can be made here; m4a has its index in front."""
    return {
        "wav": sndfile("WAV", "PCM_16"),
        "wav-float": sndfile("WAVEX", "FLOAT", 44_100),
        "wav-mulaw": sndfile("WAV", "ULAW", 8_000),
        "flac": sndfile("FLAC", "PCM_24", 48_000),
        "ogg": sndfile("OGG", "VORBIS", 44_100),
        "opus": sndfile("OGG", "OPUS", 48_000),
        "mp3": sndfile("MP3", "MPEG_LAYER_III", 44_100),
        "aiff": sndfile("AIFF", "PCM_16", 22_050),
        "m4a": ffmpeg(folder / "x.m4a", "aac", 44_100, movflags="faststart"),
        "aac": ffmpeg(folder / "x.aac", "aac", 44_100),
        "webm": ffmpeg(folder / "x.webm", "libopus", 48_000),
        "amr": ffmpeg(folder / "x.amr", "libopencore_amrnb", 8_000),
        "adpcm": ffmpeg(folder / "x.wav", "adpcm_ima_wav", 16_000),
    }
