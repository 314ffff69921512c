"""Reading sound: every format gives the voice back, with the facts about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr
import torch
from sounds import VOICE, at, every_format, sndfile
from voice import voice

from detectors.audio import decoder, read, speech_spans
from detectors.audio.bandwidth import bandwidth


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    return every_format(tmp_path_factory.mktemp("sounds"))


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
    assert facts.seconds == len(wave.whole()) / 16_000 == pytest.approx(2, abs=0.1)
    assert facts.peak == pytest.approx(0.5, abs=0.15)
    assert facts.speech_seconds > 1.5
    # The loudness contour survives every codec (the AAC and AMR encoders add up to 50 ms).
    contour = [np.convolve(np.abs(x), np.ones(1600), "same") for x in (VOICE, wave.whole())]
    best = max(
        np.corrcoef(contour[0][:30_000], contour[1][lag : lag + 30_000])[0, 1]
        for lag in range(0, 1_700, 160)
    )
    assert best > 0.95


def test_the_bit_rate_is_that_of_the_sound_and_none_where_nothing_was_lost(files, tmp_path):
    for name in ("wav", "wav-mulaw", "flac", "aiff"):
        assert read(files[name]).facts.kbps is None
    for name in ("mp3", "opus", "m4a", "amr"):
        (tmp_path / name).write_bytes(files[name])
        wave = read(tmp_path / name)
        of_file = 8 * len(files[name]) / wave.facts.seconds / 1000
        assert wave.facts.kbps == read(files[name]).facts.kbps
        assert 0.8 * of_file < wave.facts.kbps < of_file  # less the index and pages
    picture = b"ID3\4\0\0" + bytes([0, 64, 0, 0]) + bytes(1 << 20)
    assert read(picture + files["mp3"]).facts.kbps == read(files["mp3"]).facts.kbps
    assert read(2 * files["opus"]).facts.kbps == pytest.approx(read(files["opus"]).facts.kbps, 0.1)


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
    x = VOICE * half if kind == "f" else np.round(VOICE * half)
    x = (x + (half if kind == "u" else 0)).astype(dtype)
    wave = read((16_000, x))
    step = 1e-7 if kind == "f" else 1 / half
    assert np.abs(wave.samples - VOICE).max() <= 1.01 * step + 1e-7
    assert wave.facts.container == "array"


def test_channels_are_averaged():
    stereo = np.stack([VOICE, np.zeros_like(VOICE)], axis=1)
    wave = read((16_000, stereo))
    assert np.allclose(wave.samples, VOICE / 2, atol=1e-7)
    assert wave.facts.channels == 2 and wave.facts.peak == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 192_000, 384_000])
def test_resampling_block_by_block_is_resampling_at_once(rate):
    x = at(rate, np.tile(VOICE, 6))
    assert len(x) > decoder.BLOCK
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
    assert bandwidth(tone) == pytest.approx(2_000, abs=250)


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


def test_speech_in_a_very_long_silence_is_found():
    silence = np.zeros(1200 * 16_000, np.float32)
    silence[45 * 16_000 : 47 * 16_000] = VOICE
    wave = read((16_000, silence))
    assert wave.facts.speech_seconds == pytest.approx(2, abs=0.5)
    assert wave.facts.seconds == 1200
    assert len(wave.samples) <= 2 * 16_000
