"""Windows fade into each other without loss, and the baseline is the clip's own background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import hiss

from explain import ExplainError
from explain.coalitions.masking import BASELINES, background, baseline, istft, noise, stft, windows


@settings(max_examples=40)
@given(n=st.integers(8_000, 70_000), count=st.integers(2, 12), seed=st.integers(0, 99))
def test_masks_lose_nothing(n, count, seed):
    cut = windows(n, count)
    x, behind = torch.from_numpy(hiss(n, seed)), torch.from_numpy(hiss(n, seed + 1))
    everything = torch.ones(1, count, dtype=torch.bool)
    assert torch.equal(cut.mask(x, behind, everything)[0], x)
    assert torch.equal(cut.mask(x, behind, ~everything)[0], behind)
    each = cut.weights(torch.eye(count, dtype=torch.bool))
    assert torch.allclose(each.sum(dim=0), torch.ones(n))
    assert each.min() >= 0 and each.max() <= 1
    assert ((each > 0) & (each < 1)).any(dim=0).sum() <= (count - 1) * 160


def test_windows_are_equal_and_cover_the_clip():
    cut = windows(64_600, 8)
    assert cut.count == 8
    assert cut.edges[0] == 0 and cut.edges[-1] == 64_600
    assert set(np.diff(cut.edges)) <= {8075}


def test_a_ramp_is_a_smooth_crossfade_around_its_seam():
    weight = windows(16_000, 2).weights(torch.tensor([[True, False]]))[0].numpy()
    assert (weight[:7920] == 1).all() and (weight[8080:] == 0).all()
    ramp = weight[7920:8080]
    assert (np.diff(ramp) < 0).all()
    assert ramp + ramp[::-1] == pytest.approx(np.ones(160), abs=1e-6)
    assert np.abs(np.diff(weight)).max() < 0.02


def test_without_ramps_windows_are_cut_hard():
    weight = windows(16_000, 2, ramp_s=0).weights(torch.tensor([[False, True]]))[0]
    assert (weight[:8000] == 0).all() and (weight[8000:] == 1).all()


@pytest.mark.parametrize("count", [0, 1, 13])
def test_windows_that_do_not_fit_are_refused(count):
    with pytest.raises(ExplainError, match="do not fit"):
        windows(2_000, count)


def test_background_has_the_clips_colour_at_the_level_between_the_words():
    rng = np.random.default_rng(0)
    low = np.cumsum(rng.standard_normal(32_000)) * 0.01
    low -= np.convolve(low, np.ones(400) / 400, "same")  # most of its energy below 1 kHz
    loud = np.where(np.arange(32_000) // 8_000 % 2 == 0, 1.0, 0.01)
    x = torch.from_numpy((low * loud).astype(np.float32))
    behind = noise(x)
    quiet = x[10_000:14_000].square().mean().sqrt()
    assert 0.5 < float(behind.square().mean().sqrt() / quiet) < 2
    power = stft(behind[None])[0].abs().square().mean(dim=1)
    clip = stft(x[None])[0].abs().square().mean(dim=1)
    assert float(power[:32].sum() / power.sum()) == pytest.approx(
        float(clip[:32].sum() / clip.sum()), abs=0.1
    )


def test_a_clip_with_digital_pauses_still_has_a_background():
    x = torch.from_numpy(hiss(16_000))
    x[2_000:10_000] = 0
    ratio = noise(x).square().mean() / x.square().mean()
    assert 10 * torch.log10(ratio) == pytest.approx(-60, abs=2)
    assert torch.isfinite(noise(torch.zeros(16_000))).all()


def test_baselines_repeat_with_their_seed():
    x = torch.from_numpy(hiss())
    assert torch.equal(baseline(x, "noise", 1), baseline(x, "noise", 1))
    assert not torch.equal(baseline(x, "noise", 1), baseline(x, "noise", 2))
    assert not baseline(x, "zeros").any()


def test_background_follows_the_gain():
    x = torch.from_numpy(hiss())
    assert torch.allclose(background(x * 4), background(x) * 4, rtol=1e-4)


def test_an_unknown_baseline_is_refused_with_the_known_ones():
    with pytest.raises(ExplainError, match=", ".join(BASELINES)):
        baseline(torch.zeros(9_000), "music")


@pytest.mark.parametrize("n", [8_000, 8_191, 64_600])
def test_the_spectrogram_can_be_inverted(n):
    x = torch.from_numpy(hiss(n))[None]
    assert torch.allclose(istft(stft(x), n), x, atol=1e-6)
