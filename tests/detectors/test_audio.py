"""Reading sound: every format, the facts, one sentence for whatever is wrong, hostile files."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from voice import voice

from detectors import audio, decode
from detectors.audio import AudioError, read, speech_spans

VOICE = voice(2, seed=1)
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


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """One voice in every format that can be made here; m4a has its index in front."""
    folder = tmp_path_factory.mktemp("sounds")
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


def refusal(source, **options) -> AudioError:
    with pytest.raises(AudioError) as caught:
        read(source, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".") and sentence[0].isupper() and "\n" not in sentence
    return caught.value


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate"),
    [
        ("wav", "wav", "pcm_s16", 16_000),
        ("wav-float", "wav", "pcm_f32", 44_100),
        ("wav-mulaw", "wav", "pcm_mulaw", 8_000),
        ("flac", "flac", "flac", 48_000),
        ("ogg", "ogg", "vorbis", 44_100),
        ("opus", "ogg", "opus", 48_000),
        ("mp3", "mp3", "mp3", 44_100),
        ("aiff", "aiff", "pcm_s16", 22_050),
        ("m4a", "mp4", "aac", 44_100),
        ("aac", "aac", "aac", 44_100),
        ("webm", "webm", "opus", 48_000),
        ("amr", "amr", "amr_nb", 8_000),
    ],
)
def test_every_format_gives_the_voice_back_with_its_facts(files, name, container, codec, rate):
    wave = read(files[name])
    assert wave.samples.dtype == np.float32 and wave.samples.ndim == 1
    facts = wave.facts
    assert (facts.container, facts.codec, facts.rate) == (container, codec, rate)
    assert facts.channels == 1 and facts.notes == ()
    assert facts.seconds == len(wave.samples) / 16_000 == pytest.approx(2, abs=0.1)
    assert facts.peak == pytest.approx(0.5, abs=0.15)
    assert facts.speech_seconds > 1.5
    # The loudness contour survives every codec (the AAC and AMR encoders add up to 50 ms).
    contour = [np.convolve(np.abs(x), np.ones(1600), "same") for x in (VOICE, wave.samples)]
    best = max(
        np.corrcoef(contour[0][:30_000], contour[1][lag : lag + 30_000])[0, 1]
        for lag in range(0, 1_700, 160)
    )
    assert best > 0.95


def test_a_path_and_its_bytes_read_alike(files, tmp_path):
    for name in ("wav", "m4a"):
        path = tmp_path / f"{name}.raw"  # the name says nothing
        path.write_bytes(files[name])
        by_path, by_text, by_bytes = read(path), read(str(path)), read(files[name])
        assert np.array_equal(by_path.samples, by_bytes.samples)
        assert np.array_equal(by_text.samples, by_bytes.samples)
        assert by_path.facts == by_bytes.facts


@pytest.mark.parametrize("dtype", ["int16", "int32", "int8", "uint8", "uint16", "float64"])
def test_an_array_of_any_type_is_scaled_to_one(dtype):
    kind, bits = np.dtype(dtype).kind, 8 * np.dtype(dtype).itemsize
    half = 1 if kind == "f" else 2.0 ** (bits - 1)
    x = (VOICE * half + (half if kind == "u" else 0)).astype(dtype)
    wave = read((16_000, x))
    step = 1e-7 if kind == "f" else 1 / half
    assert np.abs(wave.samples - VOICE).max() <= 1.01 * step + 1e-7
    assert wave.facts.container == "array"


def test_channels_are_averaged():
    stereo = np.stack([VOICE, np.zeros_like(VOICE)], axis=1)
    wave = read((16_000, stereo))
    assert np.allclose(wave.samples, VOICE / 2, atol=1e-7)
    assert wave.facts.channels == 2 and wave.facts.peak == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 192_000])
def test_resampling_block_by_block_is_resampling_at_once(rate):
    x = at(rate, np.tile(VOICE, 6))
    assert len(x) > decode.BLOCK
    assert np.allclose(read((rate, x)).samples, soxr.resample(x, rate, 16_000), atol=1e-6)


def test_levels_above_full_scale_are_turned_down_and_noted():
    wave = read((16_000, 10 * VOICE))
    assert np.allclose(wave.samples, VOICE / np.abs(VOICE).max(), atol=1e-6)
    assert wave.facts.peak == pytest.approx(5)
    assert "full scale" in wave.facts.notes[0]


def test_clipped_is_the_share_of_samples_at_full_scale():
    loud = np.clip(4 * VOICE, -1, 1)
    pcm = (loud * 32767).astype(np.int16)
    expected = np.mean(np.abs(pcm) == 32767)
    assert expected > 0.001
    assert read((16_000, pcm)).facts.clipped == pytest.approx(expected)
    assert read(sndfile("FLAC", "PCM_16", x=loud)).facts.clipped == pytest.approx(
        expected, rel=0.05
    )
    assert read((16_000, VOICE)).facts.clipped == 0


@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_bandwidth_tells_an_upsampled_telephone_recording(gain):
    narrow = soxr.resample(at(8_000), 8_000, 16_000)
    assert 3_000 < read((16_000, gain * narrow)).facts.bandwidth_hz < 4_400
    assert 3_000 < read(sndfile("WAV", "PCM_16", 48_000, narrow)).facts.bandwidth_hz < 4_400
    assert read((16_000, gain * VOICE)).facts.bandwidth_hz > 6_000


def test_bandwidth_of_a_tone_is_its_frequency():
    tone = np.sin(2 * np.pi * 2_000 * np.arange(16_000) / 16_000).astype(np.float32)
    assert audio.bandwidth(tone) == pytest.approx(2_000, abs=250)


def test_speech_is_found_where_it_is_at_any_level():
    gap = np.concatenate([np.zeros(16_000, np.float32), VOICE, np.zeros(16_000, np.float32)])
    spans = speech_spans(gap)
    assert spans[0][0] == pytest.approx(1, abs=0.2) and spans[-1][1] == pytest.approx(3, abs=0.2)
    for decibels in (-30, 10):
        other = speech_spans((gap * 10 ** (decibels / 20)).astype(np.float32))
        assert np.allclose(spans, other, atol=0.05)
    assert speech_spans(np.zeros(16_000, np.float32)) == []
    assert speech_spans(np.zeros(0, np.float32)) == []


def test_speech_is_found_by_several_threads_at_once_and_torch_keeps_its_threads():
    before = torch.get_num_threads()
    clips = [voice(1, seed) for seed in range(4)]
    alone = [speech_spans(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(speech_spans, clips)) == alone
    assert torch.get_num_threads() == before


def test_speech_in_a_very_long_recording_is_estimated_from_stretches(monkeypatch):
    heard: list[int] = []

    def half(samples: np.ndarray) -> list[tuple[float, float]]:
        heard.append(len(samples))
        return [(0.0, len(samples) / 32_000)]

    monkeypatch.setattr(audio, "speech_spans", half)
    assert audio.speech_seconds(np.zeros(1200 * 16_000, np.float32)) == pytest.approx(600)
    assert sum(heard) == 600 * 16_000


# --- what cannot be scored ---


def test_each_unusable_recording_has_its_kind_and_sentence(tmp_path):
    nan, inf = VOICE.copy(), VOICE.copy()
    nan[5], inf[5] = np.nan, -np.inf
    many = np.zeros((16_000, 9), np.float32)
    assert refusal(b"").kind == "empty"
    assert refusal(sndfile("WAV", "PCM_16", x=VOICE[:0])).kind == "empty"
    assert refusal((16_000, np.zeros(0))).kind == "empty"
    assert refusal(b"not sound at all " * 100).kind == "unreadable"
    assert refusal(tmp_path / "nowhere.wav").kind == "unreadable"
    assert refusal(tmp_path).kind == "unreadable"
    assert refusal("a\0b").kind == "unreadable"
    assert refusal("x" * 5000).kind == "unreadable"
    assert refusal((16_000, nan)).kind == "not-finite"
    assert refusal((48_000, inf)).kind == "not-finite"
    assert refusal((16_000, np.full(16_000, 1e300))).kind == "not-finite"
    assert refusal(sndfile("WAV", "FLOAT", x=nan)).kind == "not-finite"
    assert refusal((16_000, VOICE[:7_900])).kind == "too-short"
    assert refusal((16_000, np.zeros(16_000))).kind == "no-speech"
    assert refusal((16_000, NOISE)).kind == "no-speech"
    assert refusal((16_000, many)).kind == "unreadable"
    assert refusal((16_000, many.T)).kind == "unreadable"
    assert refusal((16_000, np.array(["a", "b"]))).kind == "unreadable"
    assert refusal((7_999, VOICE)).kind == refusal((192_001, VOICE)).kind == "unreadable"


def test_a_video_without_sound_says_so(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for picture in [*([np.zeros((64, 64, 3), np.uint8)] * 5), None]:
            frame = None if picture is None else av.VideoFrame.from_ndarray(picture)
            container.mux(stream.encode(frame))
    assert refusal(path).kind == "no-audio"


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert refusal(tmp_path / "pipe.wav").kind == "unreadable"


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(AudioError("empty", "The file is empty.")))
    assert (error.kind, str(error)) == ("empty", "The file is empty.")


# --- truncated and damaged files ---


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "m4a", "webm"])
def test_a_truncated_file_is_read_as_far_as_it_goes(files, name):
    data = files[name]
    wave = read(data[: int(0.6 * len(data))])
    assert 0.7 < wave.facts.seconds < 1.6
    assert wave.facts.notes[0] == f"truncated: decoded {wave.facts.seconds:.1f} of 2.0 s"


def test_an_ogg_stream_without_its_end_is_noted(files):
    data = files["ogg"]
    cut = data[: data.rfind(b"OggS")]
    assert "no end mark" in read(cut).facts.notes[0]


def test_a_wav_whose_recorder_did_not_know_its_length_is_whole(files):
    data = bytearray(files["wav"])
    at_size = data.index(b"data") + 4
    data[at_size : at_size + 4] = b"\xff\xff\xff\xff"
    wave = read(bytes(data))
    assert wave.facts.notes == () and wave.facts.seconds == 2


def test_damaged_packets_are_left_out_and_noted(files):
    data = bytearray(files["aac"])
    middle = len(data) // 2
    data[middle : middle + 2_000] = bytes(2_000)
    wave = read(bytes(data))
    assert 1 < wave.facts.seconds < 2
    assert wave.facts.notes[0].startswith("damaged:")


# --- hostile files ---


def test_adpcm_is_refused_before_libsndfile_sees_it(files, monkeypatch):
    def opened(*_):
        raise AssertionError("libsndfile was handed an ADPCM header")

    adpcm = files["adpcm"]
    tagged = b"ID3\x04\0\0\0\0\0\x04" + bytes(4) + adpcm
    hidden = adpcm[:12] + b"LIST" + struct.pack("<I", 4) + b"INFO" + adpcm[12:]
    extensible = bytearray(sndfile("WAVEX", "PCM_16"))
    extensible[44:46] = b"\x11\x00"  # the GUID's format
    monkeypatch.setattr(decode.sf, "SoundFile", opened)
    assert "adpcm" in str(refusal(adpcm))
    for data in (tagged, hidden, bytes(extensible)):
        assert refusal(data).kind in ("unreadable", "empty")


def test_a_wav_that_starts_with_other_chunks_is_read(files):
    data = files["wav"]
    padded = data[:12] + b"JUNK" + struct.pack("<I", 4) + bytes(4) + data[12:]
    broadcast = data[:12] + b"bext" + struct.pack("<I", 602) + bytes(602) + data[12:]
    for other in (padded, broadcast):
        assert np.allclose(read(other).samples, read(data).samples, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n",
        "ffconcat version 1.0\nfile {path}\n",
    ],
)
def test_a_playlist_opens_no_other_file(files, tmp_path, text):
    inner = tmp_path / "inner.wav"
    inner.write_bytes(files["wav"])
    for name in ("list.m3u8", "list.ffconcat", "list.wav"):
        (tmp_path / name).write_text(text.format(path=inner))
        assert refusal(tmp_path / name).kind == "unreadable"


@pytest.fixture(scope="module")
def silence() -> bytes:
    """Ten minutes of 48-kHz stereo silence: some ten kB that would fill 230 MB."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", 48_000, 2, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(60):
            sound.write(np.zeros((480_000, 2), np.int16))
    return file.getvalue()


def traced_peak(source: bytes, **options) -> tuple[AudioError, float]:
    tracemalloc.start()
    try:
        return refusal(source, **options), tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_long_recording_never_stands_in_memory_at_its_full_rate(silence):
    error, megabytes = traced_peak(silence)
    assert error.kind == "no-speech"
    assert megabytes < 1.5 * 600 * 16_000 * 4 / 1e6


def test_decoding_stops_at_the_limit(silence):
    error, megabytes = traced_peak(silence, max_seconds=30)
    assert error.kind == "too-long" and "30 s" in str(error)
    mute = bytearray(silence)  # a header that does not say how long it is: 36 bits of zeros
    mute[21] &= 0xF0
    mute[22:26] = bytes(4)
    error, megabytes = traced_peak(bytes(mute), max_seconds=150)
    assert error.kind == "too-long" and "2.5 minutes" in str(error)
    assert megabytes < 1.5 * 150 * 16_000 * 4 / 1e6
    assert refusal((16_000, VOICE), max_seconds=1.9).kind == "too-long"
    assert read((16_000, VOICE), max_seconds=2).facts.seconds == 2


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "mp3", "m4a", "webm"])
@settings(max_examples=40, derandomize=True, database=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 599), st.binary(min_size=1, max_size=4)), min_size=1, max_size=8
    ),
    length=st.one_of(st.none(), st.integers(1, 5_000)),
)
def test_a_mutated_header_raises_nothing_but_audio_errors(files, name, changes, length):
    data = bytearray(files[name])
    for start, patch in changes:
        data[start : start + len(patch)] = patch
    try:
        wave = read(bytes(data[:length]), max_seconds=60)
    except AudioError as error:
        assert str(error).endswith(".")
    else:
        assert np.isfinite(wave.samples).all() and np.abs(wave.samples).max() <= 1
