"""Shapley values over several grids: the mean of exact games, and sharper than each of them."""

from __future__ import annotations

import numpy as np
import pytest
from toys import Tone, hiss, toy, waveform, with_tone

from evaluation.metrics import auc
from explain import ExplainError, explain
from explain.explanation import rebin


def test_it_is_the_mean_of_the_games_spread_over_common_cells():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.3, 0.55))
    found = explain(detector, wave, "shapley-multigrid", grids=(2, 3), cells=6, smooth=1)
    two, three = (explain(detector, wave, players=n).values for n in (2, 3))
    expected = (np.repeat(two / 3, 3) + np.repeat(three / 2, 2)) / 2
    # a third of a second is no whole number of samples
    assert found.values == pytest.approx(expected, rel=1e-3, abs=1e-3 * np.abs(expected).max())
    assert found.forwards == 2**2 + 2**3
    smooth = explain(detector, wave, "shapley-multigrid", grids=(2, 3), cells=6, smooth=3).values
    around = np.convolve(np.pad(found.values, 1, mode="edge"), np.ones(3) / 3, "valid")
    assert smooth == pytest.approx(around, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.2])
def test_the_cells_add_up_to_the_whole_gain(seconds):
    wave = waveform(with_tone(0.2, 0.5, n=round(seconds * 16_000)))
    found = explain(toy(Tone(1000)), wave, "shapley-multigrid")
    assert found.values.shape == (64,) and found.stderr is None
    assert found.values.sum() == pytest.approx(found.full - found.empty, rel=1e-6)
    assert found.residual < 1e-4


def test_one_grid_is_the_game_itself():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.3, 0.6))
    found = explain(detector, wave, "shapley-multigrid", grids=[5], cells=5, smooth=1)
    assert found.values == pytest.approx(explain(detector, wave, players=5).values, abs=1e-9)


def test_evidence_is_placed_better_than_by_one_game():
    grid = np.linspace(0, 1, 101)
    aucs: dict[int, list[float]] = {n: [] for n in (0, 4, 5, 6, 7, 8)}  # 0: several
    for start in np.arange(0.05, 0.75, 0.06):
        wave = waveform(with_tone(start, start + 0.2))
        truth = (grid[:-1] >= start) & (grid[1:] <= start + 0.2)
        for n in aucs:
            method, chosen = ("shapley-time", {"players": n}) if n else ("shapley-multigrid", {})
            found = explain(toy(Tone(1000)), wave, method, **chosen)
            cells = rebin(found.values, found.times, grid)
            aucs[n].append(auc(cells, truth))
    assert max(aucs, key=lambda n: np.mean(aucs[n])) == 0


def test_a_long_clip_is_searched_once_and_all_games_are_played_there():
    wave = waveform(with_tone(2.2, 2.6, n=48_000))
    found = explain(toy(Tone(1000)), wave, "shapley-multigrid")
    assert found.times[0] == 2.0 and found.times[-1] == 3.0
    assert 2.2 < found.times[np.argmax(found.values)] + 0.05 < 2.6
    assert "strongest" in found.notes[0]


def test_the_whole_of_a_long_clip_can_be_played():
    wave = waveform(with_tone(2.2, 2.6, n=48_000))
    found = explain(toy(Tone(1000)), wave, "shapley-multigrid", whole=True)
    assert found.times[0] == 0.0 and found.times[-1] == 3.0
    assert found.residual < 1e-4


def test_progress_rises_over_all_games_to_one():
    shares: list[float] = []
    explain(toy(Tone(1000)), waveform(hiss()), "shapley-multigrid", progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) >= 4


@pytest.mark.parametrize("grids", [(), (1,), (8, 11), (4, 0)])
def test_grids_that_cannot_be_played_exactly_are_refused(grids):
    with pytest.raises(ExplainError, match="windows from 2 to 10"):
        explain(toy(Tone(1000)), waveform(hiss()), "shapley-multigrid", grids=grids)


def test_smoothing_that_would_move_the_map_is_refused():
    with pytest.raises(ExplainError, match="odd one of them, not 64 and 8"):
        explain(toy(Tone(1000)), waveform(hiss()), "shapley-multigrid", smooth=8)
