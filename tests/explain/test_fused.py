"""A fusion is explained by what explains its members, weighed as their logits are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import fused, waveform
from voice import voice

from detectors import Config, Detector
from explain import explain, refusal

MEMBERS = [
    {
        "name": "mel", "architecture": "cnn", "options": {"channels": [4, 6], "embedding": 8},
        "frontend": "log-mel", "frontend_options": {"centre": True},
    },
    {
        "name": "spec", "architecture": "cnn",
        "options": {"channels": [4, 6], "embedding": 8, "bands": 160},
        "frontend": "log-spec", "frontend_options": {},
    },
]  # fmt: skip


def fusion(members=MEMBERS) -> Detector:
    torch.manual_seed(0)
    return fused(*(Detector(Config(**member, window=16_000)) for member in members))


def alone(detector: Detector, n: int) -> Detector:
    return detector.members[n]


@pytest.mark.parametrize("seconds", [1.0, 0.7])
def test_gradcam_adds_up_as_the_logits_do(seconds):
    detector, wave = fusion(), waveform(voice(seconds))
    whole = explain(detector, wave, "gradcam")
    parts = [explain(alone(detector, n), wave, "gradcam") for n in (0, 1)]
    weight = detector.net.weight.tolist()
    assert whole.full == pytest.approx(
        0.2 + sum(w * p.full for w, p in zip(weight, parts, strict=True)), abs=1e-4
    )
    by_time = sum(w * p.values.sum(axis=0) for w, p in zip(weight, parts, strict=True))
    assert np.allclose(whole.values.sum(axis=0), by_time, atol=1e-6)
    assert whole.values.shape == (64, whole.values.shape[1])


def test_shapley_values_are_the_members_weighed():
    detector, wave = fusion(), waveform(voice(1.0))
    whole = explain(detector, wave, "shapley-time", players=4)
    parts = [explain(alone(detector, n), wave, "shapley-time", players=4).values for n in (0, 1)]
    weighed = sum(w * p for w, p in zip(detector.net.weight.tolist(), parts, strict=True))
    assert np.allclose(whole.values, weighed, atol=1e-4)
    assert whole.residual < 1e-6


def test_what_suits_one_network_alone_is_refused():
    assert "several networks" in refusal("guided-gradcam", fusion())
    assert "several networks" in refusal("deeplift", fusion())
    prosody = {"name": "p", "architecture": "prosody", "options": {}, "frontend": "prosody"}
    with_prosody = fusion([{**prosody, "frontend_options": {}}])
    assert "no gradient" in refusal("saliency", with_prosody)
    assert refusal("gradcam", with_prosody) is not None
