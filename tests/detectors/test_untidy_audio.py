"""Files as recorders, streaming writers and editors leave them: what is there is read, and said."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from sounds import VOICE, at, ffmpeg, sndfile
from voice import voice

from detectors import load
from detectors.audio import Waveform, bare, read

PCM16 = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
QUIET = np.zeros_like(VOICE)


def wav(
    data: bytes,
    size: int | None = None,
    form: bytes = PCM16,
    after: bytes = b"",
) -> bytes:
    """A WAV file whose header may promise another size than what is there."""
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", size) + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pcm(x: np.ndarray) -> bytes:
    return (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def note(wave: Waveform) -> str:
    assert len(wave.facts.notes) == 1, wave.facts.notes
    return wave.facts.notes[0]


def whole(wave: Waveform, seconds: float = 2.0) -> bool:
    return abs(wave.facts.seconds - seconds) < 0.1 and wave.facts.speech_seconds > 0.7 * seconds


# --- lengths that headers promise ---


@pytest.mark.parametrize("size", [0, 1_000_000_000, 2_000_000_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_streaming_writers_size_is_no_length(size):
    wave = read(wav(pcm(VOICE), size), max_seconds=60)
    assert whole(wave) and "does not say how long it is" in note(wave)


@pytest.mark.parametrize(("speed", "align"), [(32_000, 4), (0, 0), (32_000, 3), (7, 2)])
def test_a_header_whose_fields_contradict_each_other_is_read_by_its_bits(speed, align):
    form = struct.pack("<HHIIHH", 1, 1, 16_000, speed, align, 16)
    wave = read(wav(pcm(VOICE), form=form))
    assert whole(wave) and wave.facts.codec == "pcm_s16"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_what_follows_a_short_promise_is_read(share):
    wave = read(wav(pcm(VOICE), round(len(VOICE) * share) * 2))
    assert whole(wave) and "promises less" in note(wave)


def test_a_second_data_chunk_is_read():
    half = len(VOICE) // 2
    for between in (b"", chunk(b"LIST", b"INFOICMT\4\0\0\0abcd")):
        wave = read(wav(pcm(VOICE[:half]), after=between + chunk(b"data", pcm(VOICE[half:]))))
        assert whole(wave) and "2 data chunks" in note(wave)
        assert np.abs(wave.samples - VOICE).max() < 1e-4
    wave = read(wav(b"", after=chunk(b"data", pcm(VOICE))))
    assert whole(wave) and wave.facts.notes == ()


@pytest.mark.parametrize(
    "after",
    [
        chunk(b"LIST", b"INFOISFT\4\0\0\0abcd"),
        chunk(b"cue ", bytes(28)),
        b"TAG" + b"x" * 125,
        b"\0",
    ],
)
def test_chunks_and_tags_behind_the_sound_are_no_sound(after):
    wave = read(wav(pcm(VOICE), after=after))
    assert len(wave.samples) == len(VOICE) and wave.facts.notes == ()


def test_a_wav_cut_off_is_called_truncated():
    wave = read(wav(pcm(VOICE[:16_000]), 2 * len(VOICE)))
    assert note(wave) == "truncated: decoded 1.0 of 2.0 s"


@pytest.mark.parametrize(
    ("tag", "bits", "dtype"), [(1, 8, "u1"), (1, 24, "<i4"), (1, 32, "<i4"), (3, 64, "<f8")]
)
def test_every_kind_of_plain_sample_is_decoded_as_libsndfile_does(tag, bits, dtype):
    subtype = {8: "PCM_U8", 24: "PCM_24", 32: "PCM_32", 64: "DOUBLE"}[bits]
    data = sndfile("WAV", subtype)
    for file in (data, sndfile("WAV", "ALAW"), sndfile("WAV", "ULAW")):
        expected, _ = sf.read(io.BytesIO(file), dtype="float32")
        assert np.abs(read(file).samples - (expected - expected.mean())).max() < 1e-6


@pytest.mark.parametrize("size", [0, 8, 20_000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_the_same_holds_for_aiff(subtype, size):
    data = bytearray(sndfile("AIFF", subtype, 22_050))
    expected = read(bytes(data))
    assert whole(expected) and expected.facts.notes == ()
    place = data.index(b"SSND") + 4
    data[place : place + 4] = struct.pack(">I", size)
    wave = read(bytes(data), max_seconds=60)
    assert "all that follows was read" in note(wave)
    assert np.array_equal(wave.samples, expected.samples)


@pytest.mark.parametrize("long", [0, 64_000, 0xFFFFFFFFFFFFFFFF])
def test_the_same_holds_for_rf64(long):
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, long, 0, 0))
    data = wav(pcm(VOICE), 0xFFFFFFFF)
    wave = read(b"RF64" + b"\xff" * 4 + b"WAVE" + sizes + data[12:], max_seconds=60)
    assert whole(wave) and len(wave.facts.notes) == (long != 64_000)


def test_a_flac_of_unknown_length_is_read():
    data = bytearray(sndfile("FLAC", "PCM_16"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # 36 bits of zeros
    wave = read(bytes(data))
    assert whole(wave) and wave.facts.notes == ()


def test_a_hole_in_a_flac_is_noted():
    data = bytearray(sndfile("FLAC", "PCM_16"))
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    wave = read(bytes(data))
    assert 1.4 < wave.facts.seconds < 1.9
    assert note(wave) == f"damaged: decoded {wave.facts.seconds:.1f} of 2.0 s"


def test_a_hole_in_an_ogg_is_noted():
    data = sndfile("OGG", "OPUS", 48_000, x=np.tile(VOICE, 4))
    pages = [b"OggS" + page for page in data.split(b"OggS")[1:]]
    assert len(pages) > 6
    wave = read(b"".join(pages[:3] + pages[5:]))
    assert wave.facts.seconds < 7
    assert note(wave) == "damaged: the Ogg stream lacks 2 of its pages"
    assert read(b"".join(pages[:2] + pages[4:])).facts.notes == ()  # of a broadcast, say


def test_a_flac_that_promises_centuries_is_read():
    data = bytearray(sndfile("FLAC", "PCM_16"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    assert whole(read(bytes(data), max_seconds=60))


# --- channels and levels ---


@pytest.mark.parametrize("second", [-1.0, -0.9])
def test_of_channels_that_cancel_out_one_is_read(second):
    stereo = np.stack([VOICE, second * VOICE], axis=1)
    for source in ((16_000, stereo), wav_of(stereo)):
        wave = read(source)
        assert whole(wave) and note(wave).endswith("only channel 1 was read")
        assert np.abs(wave.samples - VOICE).max() < 1e-3


def test_of_channels_that_cancel_out_in_a_part_one_is_read():
    second = VOICE.copy()
    second[len(VOICE) // 2 :] *= -1
    wave = read((16_000, np.stack([VOICE, second], axis=1)))
    assert whole(wave) and note(wave).endswith("only channel 1 was read")
    assert np.abs(wave.samples - VOICE).max() < 1e-3


def test_channels_that_do_not_cancel_out_are_averaged():
    other = voice(2, seed=5)
    for second in (QUIET, other, VOICE):
        wave = read((16_000, np.stack([VOICE, second], axis=1)))
        assert wave.facts.notes == ()
        mean = (VOICE + second) / 2
        assert np.allclose(wave.samples, mean - mean.mean(), atol=1e-6)


def wav_of(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    sf.write(file, x, 16_000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("scale", [4.0, 32_768.0])
def test_floats_above_full_scale_are_not_clipped(scale):
    data = (VOICE * scale * 1.5).astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    wave = read(wav(data, form=form))
    assert wave.facts.clipped == 0 and "turned down" in note(wave)
    assert np.abs(wave.samples - VOICE / np.abs(VOICE).max()).max() < 1e-5


@pytest.mark.parametrize("constant", [0.1, -0.03, 0.3])
def test_a_constant_offset_is_taken_out(constant):
    wave = read(wav(pcm(VOICE + constant)))
    assert whole(wave) and "constant offset" in note(wave)
    assert np.abs(wave.samples - VOICE).max() < 0.002


def test_an_offset_does_not_move_the_llr():
    example = Path(__file__).parents[2] / "page" / "examples" / "english-real.flac"
    clean = read(example)
    moved = read(wav(pcm(sf.read(example)[0] + 0.1)))
    detector = load("cnn")
    assert abs(detector.score(moved).llr - detector.score(clean).llr) < 0.05


# --- containers ---


def test_an_mp3_from_mono_to_stereo_is_read_whole():
    stereo = np.stack([VOICE, VOICE], axis=1)
    wave = read(sndfile("MP3", "MPEG_LAYER_III") + sndfile("MP3", "MPEG_LAYER_III", x=stereo))
    assert whole(wave, 4.1) and note(wave) == (
        "the sound changes its format midway, to 16000 Hz and 2 channels"
    )


def tracks(
    path: Path, *sounds: np.ndarray, gap: int = 0, default: int | None = None, codec: str = "aac"
) -> bytes:
    """A file of several tracks; halfway `gap` samples are missing in the time stamps."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=48_000, layout="mono") for _ in sounds]
        if default is not None:
            streams[default].disposition = av.stream.Disposition.default
        for stream, x in zip(streams, sounds, strict=True):
            form = stream.codec_context.format or "fltp"
            resampler = av.AudioResampler(format=form, layout="mono", rate=48_000, frame_size=960)
            frame = av.AudioFrame.from_ndarray(
                (at(48_000, x)[None] * 32767).astype(np.int16), format="s16", layout="mono"
            )
            frame.sample_rate = 48_000
            frames = [*resampler.resample(frame), *resampler.resample(None)]
            for number, part in enumerate([*frames, None]):
                if part is not None:
                    part.pts = 960 * number + (gap if number > len(frames) / 2 else 0)
                for packet in stream.encode(part):
                    container.mux(packet)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_of_several_tracks_the_one_with_speech_is_read(tmp_path, name):
    wave = read(tracks(tmp_path / name, QUIET, VOICE))
    assert whole(wave) and note(wave) == (
        "2 audio tracks: the second was read, since speech was found in it"
    )
    wave = read(tracks(tmp_path / name, VOICE, QUIET))
    assert whole(wave) and note(wave) == "2 audio tracks: the first was read"
    wave = read(tracks(tmp_path / name, QUIET, QUIET, VOICE))
    assert whole(wave) and "3 audio tracks: the third" in note(wave)


def test_of_several_tracks_the_default_one_comes_first(tmp_path):
    other = voice(2, seed=7)
    wave = read(tracks(tmp_path / "x.mkv", other, VOICE, default=1))
    assert note(wave) == "2 audio tracks: the second was read"


@pytest.mark.parametrize(("name", "codec"), [("x.mp4", "aac"), ("x.mkv", "libopus")])
def test_a_pause_in_the_time_stamps_is_no_damage(tmp_path, name, codec):
    wave = read(tracks(tmp_path / name, VOICE, gap=48_000, codec=codec))
    assert whole(wave) and wave.facts.notes == ()


def test_a_recording_of_a_telephone_is_read(tmp_path):
    wave = read(ffmpeg(tmp_path / "x.m4a", "aac", 44_100))
    assert whole(wave) and wave.facts.notes == ()


def test_tags_in_an_mp3_are_no_damage():
    mp3 = sndfile("MP3", "MPEG_LAYER_III", 44_100)
    tag = b"ID3\4\0\0\0\0\1\0" + bytes(128)
    for data in (tag + mp3, mp3 + b"TAG" + b"x" * 125, mp3 + tag + mp3):
        assert read(data).facts.notes == ()


def test_what_a_device_says_is_a_sentence(tmp_path):
    for path in ("/proc/self/mem", "/proc/self/maps", "/dev/full"):
        if Path(path).exists():
            with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
                read(path)


@pytest.mark.parametrize("rate", [4_000, 6_000, 768_000])
def test_unusual_rates_are_read(rate):
    assert whole(read((rate, at(rate))))


def test_bare_samples_need_no_process():
    assert bare(VOICE).facts.seconds == 2
