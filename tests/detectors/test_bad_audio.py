"""Sound that cannot be read or scored: one sentence each, whatever is wrong and however hostile."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import NOISE, VOICE, at, every_format, sndfile

from detectors.audio import AudioError, decoder, read


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    return every_format(tmp_path_factory.mktemp("sounds"))


def refusal(source, **options) -> AudioError:
    with pytest.raises(AudioError) as caught:
        read(source, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".") and sentence[0].isupper() and "\n" not in sentence
    return caught.value


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
    assert refusal((3_999, VOICE)).kind == refusal((768_001, VOICE)).kind == "unreadable"


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


@pytest.mark.parametrize("promise", [0x7FFFF000, 0x7FFFFFFF, 2_000_000_000, 0xFFFFFFFF])
def test_a_wav_whose_recorder_did_not_know_its_length_is_whole(files, promise):
    data = bytearray(files["wav"])
    at_size = data.index(b"data") + 4
    data[at_size : at_size + 4] = struct.pack("<I", promise)
    wave = read(bytes(data), max_seconds=60)
    assert wave.facts.seconds == 2 and "does not say how long" in wave.facts.notes[0]


def test_a_wav_whose_recorder_was_cut_off_is_read_with_a_note(files):
    data = bytearray(files["wav"])
    at_size = data.index(b"data") + 4
    data[at_size : at_size + 4] = bytes(4)
    for promise in (0, at_size - 4, 0xFFFFFFFF):
        data[4:8] = struct.pack("<I", promise)
        wave = read(bytes(data))
        assert wave.facts.seconds == 2 and "does not say how long" in wave.facts.notes[0]
    tags = b"LIST" + struct.pack("<I", 4) + b"INFO"
    empty = data[:4] + struct.pack("<I", at_size + 8) + data[8 : at_size + 4] + tags
    assert refusal(bytes(empty)).kind == "empty"


@pytest.mark.parametrize("name", ["flac", "mp3", "ogg", "opus"])
def test_a_recording_behind_another_in_one_file_is_heard_as_well(files, name):
    wave = read(2 * files[name])
    assert wave.facts.notes == () and wave.facts.seconds == pytest.approx(4, abs=0.1)
    assert wave.facts.speech_seconds > 3


def test_a_recording_behind_one_of_another_format_is_heard_as_well(files):
    for both in (
        files["ogg"] + files["opus"],
        files["mp3"] + sndfile("MP3", "MPEG_LAYER_III"),
        files["flac"] + sndfile("FLAC", "PCM_16", x=np.stack([VOICE, VOICE], axis=1)),
        sndfile("OGG", "OPUS") + sndfile("OGG", "OPUS", x=np.stack([VOICE, VOICE], axis=1)),
        sndfile("OGG", "VORBIS") + files["ogg"],
    ):
        wave = read(both)
        assert wave.facts.seconds == pytest.approx(4, abs=0.15) and wave.facts.speech_seconds > 3
        assert len(wave.facts.notes) == 1 and "changes its format" in wave.facts.notes[0]


def test_an_mp3_that_does_not_state_its_length_is_read_to_its_end():
    file = io.BytesIO()
    x = at(44_100, np.concatenate([VOICE, 0 * VOICE, VOICE]))
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE"}
    sf.write(file, x, 44_100, compression_level=0.5, **kind)
    data = file.getvalue()
    wave = read(data[data.index(b"\xff\xfb", 4) :])  # the first frame alone says it
    assert wave.facts.notes == () and wave.facts.seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("place", [57, 60])
def test_an_mp3_whose_tag_is_cut_short_is_read(files, place):
    data = bytearray(files["mp3"])
    data[place : place + 4] = b"Info"  # the last bytes that are looked at for a length
    assert read(bytes(data)).facts.seconds == pytest.approx(2, abs=0.1)


def test_damaged_packets_are_left_out_and_noted(files):
    data = bytearray(files["aac"])
    middle = len(data) // 2
    data[middle : middle + 2_000] = bytes(2_000)
    wave = read(bytes(data))
    assert 1 < wave.facts.seconds < 2
    assert wave.facts.notes[0].startswith("damaged:")


# --- hostile files ---


def test_adpcm_is_refused_and_libsndfile_sees_no_file_at_all(files):
    adpcm = files["adpcm"]
    tagged = b"ID3\x04\0\0\0\0\0\x04" + bytes(4) + adpcm
    hidden = adpcm[:12] + b"LIST" + struct.pack("<I", 4) + b"INFO" + adpcm[12:]
    extensible = bytearray(sndfile("WAVEX", "PCM_16"))
    extensible[44:46] = b"\x11\x00"  # the GUID's format
    assert not hasattr(decoder, "sf")
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
