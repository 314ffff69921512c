"""shap's explainers over the same players agree with our own, and its summaries are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toys import Linear, Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, explain, methods
from explain.methods import shap_library

pytest.importorskip("shap", reason="shap comes with the extra 'explain'")


def test_permutations_agree_with_exact_values():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.3, 0.6))
    ours = explain(detector, wave, "shapley-time", players=6)
    theirs = explain(detector, wave, "shap-permutation", players=6, permutations=30)
    assert theirs.values == pytest.approx(ours.values, abs=1e-2 * np.abs(ours.values).max())
    assert theirs.residual < 1e-5
    assert theirs.times == pytest.approx(ours.times)
    assert (theirs.full, theirs.empty) == pytest.approx((ours.full, ours.empty))
    assert theirs.stderr is None


def test_permutations_repeat_with_their_seed_and_leave_others_random():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.3, 0.6))
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    one, same = (explain(detector, wave, "shap-permutation", permutations=2) for _ in range(2))
    assert np.random.random() == expected
    np.testing.assert_array_equal(one.values, same.values)


def test_the_tree_of_patches_adds_up_and_finds_the_tone():
    wave = waveform(with_tone(0.52, 0.6, 5000))
    explanation = explain(toy(Tone(5000)), wave, "shap-partition")
    assert np.unravel_index(explanation.values.argmax(), (4, 8)) == (2, 4)
    assert explanation.residual < 1e-4
    assert explanation.forwards <= 164


def test_on_an_additive_detector_all_patch_games_agree():
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    ours = explain(detector, wave, "owen-patches", windows=3, bands=2)
    theirs = explain(detector, wave, "shap-partition", windows=3, bands=2)
    assert theirs.values == pytest.approx(ours.values, abs=1e-5)


def test_bands_of_a_window_are_joined_before_windows():
    tree = shap_library._tree(3, 2)
    assert {frozenset(pair) for pair in tree[:3, :2].astype(int)} == {
        frozenset((2 * w, 2 * w + 1)) for w in range(3)
    }


@pytest.fixture(scope="module")
def several():
    clips = [waveform(with_tone(0.1 * n, 0.1 * n + 0.2, seed=n)) for n in range(4)]
    return [explain(toy(Tone(1000)), clip, players=4) for clip in clips]


@pytest.mark.parametrize("kind", ["beeswarm", "bar"])
def test_summaries_are_pictures(several, kind):
    picture = shap_library.summary_figure(several, kind)
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000


def test_players_of_a_summary_are_named(several):
    assert shap_library._labels(several[0])[1] == "0.2 to 0.5 s"
    patches = dataclasses.replace(
        several[0], values=np.zeros((2, 4)), freqs=np.array([0, 4000, 8000])
    )
    assert shap_library._labels(patches)[1] == "0.0 to 0.2 s, 4000 to 8000 Hz"
    bands = dataclasses.replace(several[0], times=None, names=("a", "b", "c", "d"))
    assert shap_library._labels(bands) == ["a", "b", "c", "d"]


def test_bad_input_is_refused(several):
    with pytest.raises(ExplainError, match="no summary 'pie'"):
        shap_library.summary_figure(several, "pie")
    with pytest.raises(ExplainError, match="two explanations or more"):
        shap_library.summary_figure(several[:1])
    with pytest.raises(ExplainError, match="permutations"):
        explain(toy(Tone(1000)), waveform(hiss()), "shap-permutation", permutations=1)
    with pytest.raises(ExplainError, match="2 to 64"):
        explain(toy(Tone(1000)), waveform(hiss()), "shap-permutation", players=1)


def test_without_shap_its_methods_are_not_offered(monkeypatch):
    monkeypatch.setattr(shap_library, "find_spec", lambda name: None)
    detector = toy(Tone(1000))
    assert not any(name.startswith("shap-") for name in methods(detector))
    with pytest.raises(ExplainError, match="pip install"):
        explain(detector, waveform(hiss()), "shap-permutation")
