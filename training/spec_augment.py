"""SpecAugment (Park et al. 2019): masks on the spectrograms that a network learns from."""

from __future__ import annotations

from torch import Tensor
from torchaudio.functional import mask_along_axis

from .recipe import SpecAugment


def mask_spectrogram(spectrogram: Tensor, masks: SpecAugment) -> Tensor:
    """Overwrite random bands and times of a (b, 1, bands, frames) spectrogram by its mean."""
    for axis, count, share in (
        (2, masks.bands, masks.band_share),
        (3, masks.times, masks.time_share),
    ):
        for _ in range(count):
            width = int(spectrogram.shape[axis] * share)
            spectrogram = mask_along_axis(spectrogram, width, float(spectrogram.mean()), axis)
    return spectrogram
