"""The convolution-transformer takes over published weights, and only those that it has."""

from __future__ import annotations

import pytest
import torch

from detectors.models.transformer import PUBLISHED, ConvTransformer


def published(net: ConvTransformer) -> dict[str, torch.Tensor]:
    """A state dict under the published names, with other weights than `net`'s."""
    return {
        name.replace(prefix, theirs, 1): torch.full_like(value, 0.5)
        for name, value in net.state_dict().items()
        for prefix, theirs in PUBLISHED.items()
        if name.startswith(prefix)
    }


def test_published_weights_replace_all_but_the_readout():
    net = ConvTransformer(depth=2)
    weights = published(ConvTransformer(depth=7))
    fresh = net.out.weight.clone()
    net.load_published({"model": weights})
    assert all((value == 0.5).all() for value in net.encoder.state_dict().values())
    assert all((p == 0.5).all() for layer in net.layers for p in layer.parameters())
    assert torch.equal(net.out.weight, fresh)


def test_missing_weights_are_named():
    weights = published(ConvTransformer(depth=1))
    with pytest.raises(KeyError, match=r"layers\.1\."):
        ConvTransformer(depth=2).load_published(weights)


def test_the_spectrum_keeps_the_phase_and_compresses_the_level():
    net = ConvTransformer(depth=1)
    x = 0.05 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    one, ten = net.spectrum(x), net.spectrum(10 * x)
    assert one.shape == (1, 2, 161, 100)
    assert torch.allclose(ten, one * 10**0.3, rtol=1e-3, atol=1e-5)
    turned = net.spectrum(-x)
    assert torch.allclose(turned, -one)
