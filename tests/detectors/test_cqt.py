"""The constant-Q picture: what the definition says."""

from __future__ import annotations

import pytest
import torch
from toys import hiss

from detectors.catalog import build_frontend
from detectors.frontends.cqt import LogCQT, wavelets

N = 32_000


def test_every_octave_says_what_its_wavelet_at_the_full_rate_would():
    cqt = LogCQT(emphasis=0.0)
    x = torch.from_numpy(hiss(N, seed=3)).double()
    picture = cqt(x.float()[None])[0, 0]
    frames = torch.arange(50, 80, 10)
    for band in (150, 197, 240, 263, 350, 383, 384, 431):  # both ends of octaves among them
        hz = torch.tensor([15.0 * 2 ** (band / 48)], dtype=torch.float64)
        wavelet = wavelets(hz, 2 ** (1 / 48))[0]
        padded = torch.nn.functional.pad(x, (len(wavelet) // 2,) * 2)
        heard = torch.stack([padded[f * 256 :][: len(wavelet)].to(wavelet) for f in frames])
        wanted = 10 * torch.log10((heard @ wavelet).abs().square())
        assert torch.allclose(picture[band, frames].double(), wanted, atol=0.4)


@pytest.mark.parametrize("hz", [100.0, 440.0, 3000.0])
def test_a_tone_peaks_in_its_band_and_noise_is_even(hz):
    cqt = LogCQT(emphasis=0.0)
    t = torch.arange(N) / 16_000
    band = int(cqt(torch.sin(2 * torch.pi * hz * t)[None])[0, 0, :, 60].argmax())
    assert cqt.hz_edges[band] <= hz <= cqt.hz_edges[band + 1]
    noise = cqt(torch.from_numpy(hiss(N))[None])[0, 0, 200:].mean(dim=1)
    assert float(noise.std()) < 2.0


def test_the_published_picture_has_432_bands_and_400_frames():
    x = torch.from_numpy(hiss(102_144))[None].requires_grad_()
    picture = build_frontend("log-cqt", {})(x)
    assert picture.shape == (1, 1, 432, 400)
    picture.mean().backward()
    assert x.grad.isfinite().all() and (x.grad != 0).float().mean() > 0.99


def test_a_hop_that_does_not_halve_is_refused():
    with pytest.raises(ValueError, match="multiple of 256"):
        build_frontend("log-cqt", {"hop": 160})
