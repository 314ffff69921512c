"""Silence has no vote: whatever of it is put into a recording, the answer stays."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from voice import voice

from detectors import AudioError, load, read
from detectors.audio import RATE, Waveform, bare
from detectors.audio.silence import audible
from detectors.config import pool
from detectors.detector import window_speech

SENTENCE = voice(3.0, seed=1)
SENTENCE *= np.float32(0.05 / np.sqrt(np.mean(SENTENCE**2)))  # -26 dBFS, as ITU-T P.56 has it
HISS = 1e-3 * np.random.default_rng(0).standard_normal(25 * RATE).astype(np.float32)
ZEROS = np.zeros(25 * RATE, np.float32)


def kept(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[start:end] for start, end in audible(x)])


@given(st.integers(0, 40_000), st.integers(0, 40_000), st.sampled_from([1.0, 0.1, 0.03]))
def test_silence_before_and_after_changes_no_sample_whatever_the_gain(before, after, gain):
    for silence in (ZEROS, HISS):
        longer = np.concatenate([silence[:before], SENTENCE, silence[:after]])
        assert np.array_equal(kept(gain * longer), gain * kept(SENTENCE))


@given(st.floats(0, 1), st.integers(0, 40_000))
def test_silence_within_a_long_pause_changes_no_sample(place, count):
    """Wherever it is put in: before, it was left out as well."""
    pause = HISS[: RATE // 2]
    for silence in (ZEROS, HISS):
        at = round(place * len(pause))
        longer = np.concatenate([SENTENCE, pause[:at], silence[:count], pause[at:], SENTENCE])
        assert np.array_equal(kept(longer), kept(np.concatenate([SENTENCE, pause, SENTENCE])))


def test_a_long_pause_goes_and_a_short_one_stays():
    def pause(seconds: float) -> np.ndarray:
        return np.concatenate([SENTENCE, HISS[: int(seconds * RATE)], SENTENCE])

    assert len(kept(pause(0.1))) >= len(kept(pause(2.0))) + 0.1 * RATE
    assert len(kept(pause(2.0))) == 2 * len(kept(SENTENCE))


@pytest.mark.parametrize("n", [0, 1, 100, 16_000])
def test_sound_in_which_all_is_alike_stays_whole(n):
    assert audible(np.zeros(n, np.float32)) == [(0, n)]
    assert audible(np.ones(n, np.float32)) == [(0, n)]


def test_a_click_does_not_make_the_voice_quiet():
    x = SENTENCE.copy()
    x[100:160] = 1.0
    assert len(kept(x)) > 0.95 * len(kept(SENTENCE))


def test_times_are_those_of_the_recording():
    wave = Waveform(np.zeros(40, np.float32), bare(np.zeros(100)).facts, ((10, 30), (60, 80)))
    assert (wave.recording_s([0, 19, 20, 39]) * RATE).tolist() == [10, 29, 60, 79]
    assert (wave.recording_s([20, 40], ending=True) * RATE).tolist() == [30, 80]
    places = wave.position(np.array([0, 10, 45, 60, 70, 99]) / RATE)
    assert places.tolist() == pytest.approx([0, 0, 20, 20, 30, 40])
    assert [(round(a * RATE), round(b * RATE)) for a, b in wave.silences()] == [
        (0, 10),
        (30, 60),
        (80, 100),
    ]
    assert len(wave.whole()) == 100


def test_windows_vote_by_their_speech():
    wave = Waveform(np.zeros(10 * RATE, np.float32), bare(ZEROS).facts, (), ((1.0, 3.0), (5, 5.5)))
    votes = window_speech(wave, [0, 2 * RATE, 6 * RATE], 4 * RATE)
    assert votes.tolist() == [2.0, 1.5, 0.0]
    logits = np.array([1.0, 8.0, 100.0])
    assert pool("mean", logits, votes) == 4.0
    assert pool("max", logits, votes) == 8.0
    assert pool("top3", logits, votes) == 4.5
    assert pool("mean", logits, 0 * votes) == pytest.approx(109 / 3)


@pytest.mark.parametrize("silence", [ZEROS, HISS], ids=["zeros", "hiss"])
def test_the_evidence_stays_when_silence_is_put_around_and_between(silence):
    x = SENTENCE
    detector = load("cnn")

    def score(*parts: np.ndarray) -> float:
        return detector.score(read((RATE, np.concatenate(parts)))).llr

    alone, both = score(x), score(x, silence[: RATE // 2], x)
    assert score(silence, x) == pytest.approx(alone, abs=0.1)
    assert score(x, silence) == pytest.approx(alone, abs=0.1)
    assert score(x, silence, x) == pytest.approx(both, abs=0.1)


@pytest.mark.parametrize("silence", [ZEROS, HISS], ids=["zeros", "hiss"])
def test_silence_alone_gets_no_verdict(silence):
    with pytest.raises(AudioError, match="No speech"):
        read((RATE, silence[: 4 * RATE]))
    assert np.isfinite(load("cnn").score(bare(silence[: 10 * RATE])).llr)


def test_a_window_over_a_pause_tells_where_it_lies_and_what_it_holds():
    x = SENTENCE
    score = load("cnn").score(read((RATE, np.concatenate([ZEROS, x, ZEROS, x]))))
    assert score.windows[0].start_s >= 25
    assert score.windows[-1].end_s <= 56
    assert score.windows[0].end_s > 53
    assert all(0 < window.speech_s <= 4.04 for window in score.windows)


@pytest.mark.parametrize("what", ["zeros", "hiss"])
def test_minutes_of_silence_change_no_sample(what):
    rng = np.random.default_rng(1)
    minutes = rng.standard_normal(300 * RATE).astype(np.float32) * (1e-3 if what == "hiss" else 0)
    longer = np.concatenate([SENTENCE, minutes, SENTENCE])
    assert np.array_equal(kept(longer), np.tile(kept(SENTENCE), 2))


@pytest.mark.parametrize("name", ["cnn", "cnn-mel", "resnet"])
def test_a_file_with_20_s_of_silence_behind_it_is_judged_as_without(name):
    def score(x: np.ndarray) -> tuple[float, str]:
        file = io.BytesIO()
        soundfile.write(file, x, RATE, format="WAV", subtype="PCM_16")
        detector = load(name)
        llr = detector.score(read(file.getvalue())).llr
        return llr, detector.config.calibration.verdict(llr)

    alone, verdict = score(SENTENCE)
    longer, again = score(np.concatenate([SENTENCE, ZEROS[: 20 * RATE]]))
    assert longer == pytest.approx(alone, abs=0.1) and again == verdict
