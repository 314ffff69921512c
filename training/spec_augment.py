"""Masks on the pictures that a network learns from."""

from __future__ import annotations

from torch import Tensor
from torchaudio.functional import mask_along_axis

from .recipe import SpecAugment


def masked(picture: Tensor, masks: SpecAugment) -> Tensor:
    """Overwrite random bands and stretches by the picture's mean; waveforms pass unchanged.

    Park et al. 2019, "SpecAugment". picture: (b, 1, bands, frames).
    """
    if picture.dim() != 4:
        return picture
    for axis, count, share in (
        (2, masks.bands, masks.band_share),
        (3, masks.times, masks.time_share),
    ):
        for _ in range(count):
            width = int(picture.shape[axis] * share)
            picture = mask_along_axis(picture, width, float(picture.mean()), axis)
    return picture
