"""Masks overwrite as much of a spectrogram as they may, and nothing else."""

from __future__ import annotations

import torch

from training.recipe import SpecAugment
from training.spec_augment import mask_spectrogram


def test_masks_overwrite_whole_bands_and_times_by_the_mean():
    torch.manual_seed(0)
    spectrogram = torch.randn(3, 1, 20, 30)
    seen = mask_spectrogram(
        spectrogram, SpecAugment(bands=1, band_share=0.5, times=1, time_share=0.5)
    )
    changed = (seen != spectrogram)[:, 0]
    bands, times = changed.all(dim=2, keepdim=True), changed.all(dim=1, keepdim=True)
    assert 0 < bands[0].sum() <= 10
    assert 0 < times[0].sum() <= 15
    assert torch.equal(changed, bands | times)
    assert torch.allclose(seen[changed[:, None]], spectrogram.mean(), atol=0.2)
