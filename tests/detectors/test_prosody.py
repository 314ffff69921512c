"""Prosodic features mean what Praat means by them, and the network reads them group by group."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parselmouth import Sound
from parselmouth.praat import call
from toys import hiss
from voice import voice

from detectors.frontends.prosody import (
    CHANNELS,
    GROUPS,
    JITTER,
    MASKS,
    RATE,
    SHIMMER,
    Cycles,
    Prosody,
    cycles,
    perturbation,
    prosody,
)
from detectors.frontends.spectrograms import level
from detectors.models.prosody import ProsodyNet

LIMITS = (0, 0, 1e-4, 0.02, 1.3)


def pulses(at: np.ndarray, seconds: float, size: np.ndarray | float = 1.0) -> np.ndarray:
    """Pulses at any times (s), each a ringing at 500 Hz that dies before the next one."""
    t = np.arange(round(seconds * RATE)) / RATE
    x = np.zeros(len(t))
    for when, height in np.broadcast(at, size):
        since = np.maximum(t - when, 0.0)
        x += height * np.exp(-1000 * since) * np.sin(2 * np.pi * 500 * since)
    return 0.1 * x


def rough(seconds: float = 1.5) -> np.ndarray:
    """A voice whose periods and amplitudes vary at random about 8 ms."""
    rng = np.random.default_rng(1)
    periods = 0.008 * (1 + 0.02 * rng.standard_normal(int(seconds / 0.008) - 4))
    at = 0.01 + np.cumsum(periods)
    return pulses(at, seconds, 1 + 0.08 * rng.standard_normal(len(at)))


def channel(features: np.ndarray, name: str) -> np.ndarray:
    """The channel's values where they are defined."""
    i = CHANNELS.index(name)
    return features[i][features[MASKS[i]] == 1] if MASKS[i] != i else features[i]


def test_a_hundred_pulses_a_second_are_a_hundred_hertz():
    features = prosody(pulses(np.arange(0.005, 1.99, 0.01), 2.0))
    f0 = 100 * 2 ** (channel(features, "f0: semitones") / 12)
    assert len(f0) > 190
    assert f0[5:-5] == pytest.approx(100, abs=0.1)
    assert channel(features, "f0: from median")[5:-5] == pytest.approx(0, abs=0.1)
    assert np.abs(channel(features, "f0 fluctuation: slope")[5:-5]).max() < 0.01


def test_alternating_periods_have_the_jitter_of_the_definition():
    periods = 0.008 * (1 + 0.01 * (-1.0) ** np.arange(180))  # neighbours differ by 2 % of the mean
    features = prosody(pulses(0.01 + np.cumsum(periods), 1.5))
    jitter = np.exp(channel(features, "jitter: local")[20:-20])
    assert np.median(jitter) == pytest.approx(0.02, rel=0.1)
    assert np.median(np.exp(channel(features, "jitter: rap")[20:-20])) == pytest.approx(
        0.02 * 2 / 3, rel=0.1
    )
    assert len(channel(features, "jitter: ppq55")) > 50


@pytest.mark.parametrize("ms", [55, 65])
def test_one_or_two_pulses_have_no_periods(ms):
    long = Sound(pulses(np.arange(0.05, 0.95, 0.01), 1.0), RATE)
    short = Sound(long.values[0, : ms * RATE // 1000], RATE)
    found = call([short, long.to_pitch_ac(0.01, 75)], "To PointProcess (cc)")
    assert call(found, "Get number of points") in (1, 2)
    assert [len(of.values) for of in cycles(short, long.to_pitch_ac(0.01, 75))] == [0, 0]


@pytest.mark.parametrize("x", [rough(), voice(2.0).astype(np.float64)], ids=["rough", "voice"])
def test_over_the_whole_clip_quotients_are_those_of_praats_own_commands(x):
    sound = Sound(x, RATE)
    pitch = sound.to_pitch_ac(0.01, 75.0)
    points = call([sound, pitch], "To PointProcess (cc)")
    periods, amplitudes = cycles(sound, pitch)
    middle = np.array([sound.duration / 2])
    for name in ("local", "rap", "ppq5"):
        theirs = call(points, f"Get jitter ({name})", *LIMITS)
        ours = perturbation(periods, JITTER[name], middle, 9.0)[0]
        assert ours == pytest.approx(theirs, rel=1e-6)
    for name, terms in SHIMMER.items():  # Praat's mean leaves the last peak out
        theirs = call([sound, points], f"Get shimmer ({name})", *LIMITS, 1.6)
        ours = perturbation(amplitudes, terms, middle, 9.0)[0]
        assert ours == pytest.approx(theirs, rel=0.02)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(2, 70), st.sampled_from([2, 3, 5, 11, 55]))
def test_the_sliding_quotient_is_the_sum_that_its_definition_writes(seed, m, terms):
    rng = np.random.default_rng(seed)
    times, values = np.cumsum(rng.uniform(0.002, 0.01, m)), rng.uniform(1, 2, m)
    linked, counted = rng.random(m - 1) < 0.95, rng.random(m) < 0.9
    at, half = np.array([0.05, 0.15, 0.3]), terms // 2
    quotients = perturbation(Cycles(times, values, linked, counted), terms, at)
    for t, ours in zip(at, quotients, strict=True):
        found = []
        for i in range(m):
            first, last = (i, i + 1) if terms == 2 else (i - half, i + half)
            if first < 0 or last >= m or not linked[first:last].all():
                continue
            where = (times[i] + times[i + 1]) / 2 if terms == 2 else times[i]
            other = values[i + 1] if terms == 2 else values[first : last + 1].mean()
            if abs(where - t) <= 0.1:
                found.append(abs(values[i] - other))
        around = values[counted & (np.abs(times - t) <= 0.1)]
        theirs = np.mean(found) / around.mean() if found and len(around) else np.nan
        assert ours == pytest.approx(theirs, nan_ok=True)


@pytest.mark.parametrize("snr_db", [5.0, 15.0, 25.0])
def test_harmonics_to_noise_ratio_is_the_ratio_that_was_mixed(snr_db):
    t = np.arange(2 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 150 * k * t) for k in range(1, 8))
    noise = np.random.default_rng(0).standard_normal(len(t))
    noise *= tone.std() / noise.std() * 10 ** (-snr_db / 20)
    hnr = channel(prosody(0.01 * (tone + noise)), "hnr: dB")
    assert np.median(hnr) == pytest.approx(snr_db, abs=1.5)


def test_formants_are_praats():
    x = voice(2.0).astype(np.float64)
    features = prosody(x)
    formant = Sound(x, RATE).to_formant_burg(0.01, 5, 5500.0, 0.025, 50.0)
    i = CHANNELS.index("formants: F1")
    known = np.flatnonzero(features[MASKS[i]])
    theirs = [formant.get_value_at_time(1, (k + 0.5) * 0.01) for k in known]
    assert np.nanmedian(np.abs(np.exp(features[i, known]) / theirs - 1)) < 0.02


def test_pauses_are_found_with_their_lengths():
    x = np.concatenate([rough(1.0), 1e-5 * hiss(8000), rough(1.0)])
    pause = prosody(x)[GROUPS["pauses"]]
    grid = call(Sound(x, RATE), "To TextGrid (silences)", 100, 0, -25, 0.1, 0.1, "p", "s")
    theirs = [call(grid, "Get label of interval", 1, 1 + k) for k in range(3)]
    assert theirs == ["s", "p", "s"]
    start, end = (call(grid, f"Get {e} time of interval", 1, 2) for e in ("start", "end"))
    assert pause[0].sum() * 0.01 == pytest.approx(end - start, abs=0.03)
    assert pause[1].max() == pytest.approx(end - start, abs=0.03)
    assert (pause[1] > 0).tolist() == (pause[0] == 1).tolist()
    assert (pause[2] > 0).tolist() == (pause[0] == 0).tolist()


def test_onsets_stand_where_a_sound_sets_in():
    x = np.concatenate([1e-4 * hiss(8000), rough(1.0)])
    onset = channel(prosody(x), "onset: strength")
    assert abs(int(onset.argmax()) - 50) <= 2


def test_gain_changes_nothing():
    x = torch.from_numpy(voice(1.0))[None]
    frontend = Prosody()
    plain = frontend(level(x))
    for gain in (0.03, 3.0):
        torch.testing.assert_close(frontend(level(gain * x)), plain, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("n", [8000, 8079, 16_000, 64_600])
def test_any_length_from_half_a_second_gives_finite_frames_of_ten_milliseconds(n):
    for x in (voice(n / RATE), hiss(n), np.zeros(n)):
        features = prosody(x[:n].astype(np.float64))
        assert features.shape == (len(CHANNELS), n // 160) and features.dtype == np.float32
        assert np.isfinite(features).all()


def test_silence_has_no_voice_and_no_invented_one():
    features = prosody(np.zeros(16_000))
    for group in ("f0", "f0 fluctuation", "jitter", "shimmer", "hnr", "formants"):
        assert not features[GROUPS[group]].any()


def test_what_is_masked_is_zero_and_masks_are_zeros_and_ones():
    features = prosody(voice(2.0).astype(np.float64))
    for i, mask in enumerate(MASKS):
        if mask != i:
            assert set(np.unique(features[mask])) <= {0, 1}
            assert not features[i][features[mask] == 0].any()


def test_groups_hold_every_channel_once():
    held = [i for group in GROUPS.values() for i in range(len(CHANNELS))[group]]
    assert held == list(range(len(CHANNELS)))
    assert len(set(CHANNELS)) == len(CHANNELS)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = ProsodyNet().eval()
    features = Prosody()(level(torch.from_numpy(np.stack([voice(1.0, s) for s in (0, 1)]))))
    net.standardise_on(features.numpy())
    return net, features


def test_standardisation_leaves_out_what_is_undefined(net):
    net, features = net
    i = CHANNELS.index("f0: semitones")
    known = torch.cat([x[i][x[MASKS[i]] == 1] for x in features]).double()
    assert float(net.mean[i]) == pytest.approx(float(known.mean()), abs=1e-4)
    assert float(net.std[i]) == pytest.approx(float(known.std(correction=0)), rel=1e-4)
    assert len(known) < features.shape[0] * features.shape[2]


def test_a_value_under_its_mask_says_nothing(net):
    net, features = net
    i = CHANNELS.index("hnr: dB")
    changed = features.clone()
    changed[:, i] += 50 * (changed[:, MASKS[i]] == 0)
    assert torch.equal(net(changed), net(features))


def test_each_group_is_embedded_by_itself(net):
    net, features = net
    for k, at in enumerate(GROUPS.values()):
        changed = features.clone()
        changed[:, at] += 1.0
        moved = (net.embed(changed) != net.embed(features)).any(dim=(0, 2))
        assert moved.nonzero().flatten().tolist() in ([k], [])
    assert torch.equal(net.head(net.embed(features)), net(features))


def test_logits_depend_on_the_row_alone_and_any_length_will_do(net):
    net, features = net
    assert net(features[:1, :, :50]).isfinite().all()
    torch.testing.assert_close(net(features)[1:], net(features[1:]), atol=1e-5, rtol=1e-5)
