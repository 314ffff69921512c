"""Shapley values by time: closed forms, and evidence planted where we know it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import WINDOW, Both, Linear, Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, explain
from explain.coalitions.masking import baseline, windows


@pytest.mark.parametrize("name", ["noise", "zeros"])
@pytest.mark.parametrize("players", [2, 5, 8])
def test_a_window_additive_detector_has_closed_form_values(players, name):
    weight = torch.from_numpy(hiss(seed=1))
    x = torch.from_numpy(hiss(seed=2))
    explanation = explain(toy(Linear(weight)), waveform(x), players=players, baseline=name)
    share = windows(WINDOW, players).weights(torch.eye(players, dtype=torch.bool)).double()
    expected = share @ (weight.double() * (x - baseline(x, name)).double())
    assert explanation.values == pytest.approx(expected.numpy(), abs=1e-5)
    assert explanation.residual < 1e-6
    assert explanation.full == pytest.approx(float(x @ weight), abs=1e-5)
    assert explanation.forwards == 2**players


def test_a_known_interaction_is_shared_equally():
    first, second = torch.zeros(WINDOW), torch.zeros(WINDOW)
    first[2_500:3_500] = 0.1  # inside the second of eight windows
    second[12_500:13_500] = 0.1  # inside the seventh
    x = np.full(WINDOW, 0.02)
    values = explain(toy(Both(first, second)), waveform(x), baseline="zeros").values
    assert values[[1, 6]] == pytest.approx([2.0, 2.0], rel=1e-4)  # half of (1000 * 0.002)^2
    assert np.delete(values, [1, 6]) == pytest.approx(np.zeros(6), abs=1e-5)


@pytest.mark.parametrize("seed", range(25))
def test_planted_evidence_is_found_in_every_draw(seed):
    spot = np.random.default_rng(seed).integers(8)
    x = with_tone(spot / 8 + 0.02, (spot + 1) / 8 - 0.02, seed=seed)
    explanation = explain(toy(Tone(1000)), waveform(x), seed=seed)
    assert np.argmax(explanation.values) == spot
    assert explanation.values[spot] > 0.9 * (explanation.full - explanation.empty)
    assert explanation.residual < 1e-4


def test_the_gain_of_a_clip_changes_nothing():
    detector = toy(Tone(1000), level_normalise=True)
    x = with_tone(0.3, 0.6)
    loud = explain(detector, waveform(x)).values
    assert np.abs(loud).max() > 1
    for decibel in (-30, 10):
        quiet = explain(detector, waveform(x * 10 ** (decibel / 20))).values
        assert quiet == pytest.approx(loud, rel=1e-3, abs=1e-3)


def test_a_mask_never_changes_what_remains():
    # Were the level set after masking, a loud window would shrink as the quiet ones fall silent.
    x = np.concatenate([hiss(8_000, level=0.01), hiss(8_000, level=0.3)])
    ear = torch.zeros(WINDOW)
    ear[1_000:1_500] = 1.0  # hears the first window only
    values = explain(toy(Linear(ear), level_normalise=True), waveform(x), players=2).values
    assert abs(values[0]) > 1e-3
    assert values[1] == pytest.approx(0, abs=1e-7)


def test_times_are_seconds_of_the_clip():
    times = explain(toy(Tone(1000)), waveform(hiss()), players=4).times
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_long_clip_is_explained_where_it_is_most_suspicious():
    n = 5 * WINDOW
    explanation = explain(toy(Tone(1000)), waveform(with_tone(3.2, 3.4, n=n)), players=5)
    assert explanation.times[0] <= 3.2 and explanation.times[-1] >= 3.4
    assert explanation.times[-1] - explanation.times[0] == pytest.approx(1.0)
    best = int(np.argmax(explanation.values))
    assert explanation.times[best] <= 3.3 <= explanation.times[best + 1]
    assert "strongest" in explanation.notes[0]
    assert "real" not in explanation.notes[0]


def test_the_note_says_so_when_the_verdict_is_real():
    detector = toy(Linear(torch.full((WINDOW,), -1.0)))
    notes = explain(detector, waveform(np.full(2 * WINDOW, 0.1)), players=2).notes
    assert "though the verdict on the whole is real" in notes[0]


def test_a_caller_can_choose_the_stretch():
    wave = waveform(hiss(5 * WINDOW))
    detector = toy(Tone(1000))
    assert explain(detector, wave, players=2, start_s=2.5).times == pytest.approx([2.5, 3.0, 3.5])
    assert explain(detector, wave, players=2, start_s=99).times == pytest.approx([4.0, 4.5, 5.0])


def test_a_short_clip_is_explained_in_its_own_time():
    x = with_tone(0.35, 0.45, n=9_600)  # 0.6 s, repeated to 1 s
    explanation = explain(toy(Tone(1000)), waveform(x), players=6)
    assert explanation.times == pytest.approx(np.linspace(0, 0.6, 7))
    assert np.argmax(explanation.values) in (3, 4)
    assert np.abs(explanation.values[[0, 1, 5]]).max() < 0.1 * explanation.values.max()
    detector = toy(Tone(1000))
    assert explanation.full == pytest.approx(detector.score(waveform(x)).llr, rel=1e-4)


@pytest.mark.parametrize("players", [-1, 0, 1, 65, 400])
def test_players_out_of_range_are_refused(players):
    with pytest.raises(ExplainError, match="2 to 64"):
        explain(toy(Tone(1000)), waveform(hiss()), players=players)


# --- sampling ---


def test_the_sample_repeats_with_its_seed():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.2, 0.4))
    one, same, other = (
        explain(detector, wave, players=12, budget=100, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_array_equal(one.stderr, same.stderr)
    assert np.abs(one.values - other.values).max() > 0


def test_many_players_are_sampled_and_still_add_up():
    explanation = explain(toy(Tone(1000)), waveform(with_tone(0.5, 0.55)), players=20, budget=200)
    assert explanation.forwards <= 200
    assert explanation.values.shape == explanation.stderr.shape == (20,)
    assert explanation.values.argmax() == 10
    assert explanation.residual < 1e-6


def test_a_budget_that_tells_nothing_is_refused():
    with pytest.raises(ExplainError, match="12 players need a budget of 48 or more, not 47"):
        explain(toy(Tone(1000)), waveform(hiss()), players=12, budget=47)


# --- baselines ---


def test_a_bank_of_real_clips_stands_in_for_silent_windows():
    weight, x = torch.from_numpy(hiss(seed=1)), hiss(seed=2)
    bank = [waveform(hiss(12_000, seed=7)), waveform(hiss(20_000, seed=8))]
    explanation = explain(
        toy(Linear(weight)), waveform(x), players=3, baseline="bank", bank=bank, backgrounds=5
    )
    drawn = [baseline(torch.from_numpy(x), "bank", seed, bank) for seed in range(5)]
    assert explanation.empty == pytest.approx(float(torch.stack(drawn).mean(0) @ weight), abs=1e-5)
    assert explanation.forwards == 5 * 8
    level = [float(one.square().mean() / np.square(x).mean()) for one in drawn]
    assert level == pytest.approx([1] * 5, rel=1e-3)


def test_the_programs_own_examples_are_a_bank():
    explanation = explain(toy(Tone(1000)), waveform(hiss()), players=2, baseline="bank")
    assert explanation.residual < 1e-6 and explanation.empty > 0


@pytest.mark.parametrize("options", [{"baseline": "music"}, {"backgrounds": 0}, {"budget": 0}])
def test_values_that_it_does_not_take(options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), **options)


# --- the whole clip ---


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_whole_of_a_long_clip_is_played(pooling):
    n = 4 * WINDOW
    detector, wave = toy(Tone(1000), pooling=pooling), waveform(with_tone(2.1, 2.3, n=n))
    explanation = explain(detector, wave, players=8, whole=True)
    assert explanation.times == pytest.approx(np.linspace(0, 4, 9))
    assert explanation.full == pytest.approx(detector.score(wave).llr, rel=1e-5)
    assert explanation.values.argmax() == 4  # 2.0 to 2.5 s
    assert explanation.residual < 1e-6
    assert explanation.forwards < 7 * 2**4  # seven windows, each hearing three players at most
    assert "whole clip" in explanation.notes[0]


def test_too_many_players_for_the_whole_clip_are_refused():
    detector, wave = toy(Tone(1000)), waveform(hiss(4 * WINDOW))
    with pytest.raises(ExplainError, match="at most 27 windows are played, not 60"):
        explain(detector, wave, players=60, whole=True)
    with pytest.raises(ExplainError, match="at most 27"):
        explain(detector, wave, players=28, whole=True)
    assert len(explain(detector, wave, "occlusion", window_s=4 / 27, whole=True).values) == 27


@pytest.mark.parametrize("chosen", [{"seed": -1}, {"seed": 0.5}, {"start_s": float("nan")}])
def test_values_that_mean_nothing_are_refused_in_a_sentence(chosen):
    with pytest.raises(ExplainError, match="is a number"):
        explain(toy(Tone(1000)), waveform(hiss()), **chosen)


def test_the_whole_of_a_short_clip_is_its_stretch():
    detector, wave = toy(Tone(1000)), waveform(hiss())
    whole = explain(detector, wave, players=3, whole=True)
    np.testing.assert_array_equal(whole.values, explain(detector, wave, players=3).values)


# --- cost ---


def test_progress_rises_to_one_and_can_stop_the_game():
    class Stopped(Exception):
        pass

    seen = []
    detector, wave = toy(Tone(1000)), waveform(hiss())
    explain(detector, wave, players=6, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1

    def stop(share: float) -> None:
        if share > 0.4:
            raise Stopped

    with pytest.raises(Stopped):
        explain(detector, wave, players=6, progress=stop)


def test_the_cost_is_reported():
    explanation = explain(toy(Tone(1000)), waveform(hiss()), players=3)
    assert explanation.forwards == 8
    assert explanation.seconds > 0
    assert explanation.peak_mb > 50
