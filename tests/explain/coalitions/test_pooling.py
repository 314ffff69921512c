"""Of a voice the network pools the moments of a coalition and passes over the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import waveform
from voice import voice

from detectors import Config, Detector
from explain import explain
from explain.coalitions.game import all_coalitions
from explain.coalitions.masking import windows
from explain.coalitions.segment import most_suspicious_segment
from explain.coalitions.splicing import splice


@pytest.mark.parametrize("seconds", [1.0, 0.6])
def test_of_a_voice_the_moments_of_a_coalition_are_pooled_alone(seconds):
    torch.manual_seed(0)
    detector = Detector(Config("voice", "prosody", frontend="prosody", window=16_000))
    net = detector.net
    segment = most_suspicious_segment(detector, waveform(voice(1.0)[: int(16_000 * seconds)]))
    game = splice(detector, segment, windows(len(segment.samples), 4), segment.samples)
    coalitions = all_coalitions(4)
    with torch.inference_mode():
        features = detector.frontend(segment.fill(segment.samples[None]))
        absent = net.embed(net.mean[:, None].expand_as(features))
        expected = [net.head(absent)]
        for on in coalitions[1:]:
            maps = []
            for x in net.maps(features):
                apart = 0.01 * -(-features.shape[-1] // x.shape[-1])
                spot = np.arange(x.shape[-1]) * apart % seconds  # a short clip is repeated
                maps.append(x[..., on[(spot / (seconds / 4)).astype(int)]])
            expected.append(net.head(net.pool(maps)))
        assert torch.allclose(game(coalitions), torch.cat(expected), atol=1e-5)
    assert float(expected[-1]) == pytest.approx(
        detector.window_logits(segment.samples.numpy(), [0])[0], abs=1e-4
    )
    assert torch.cat(expected).std() > 0 and game.each == 0


def test_a_voice_of_which_no_moment_is_heard_is_an_average_one():
    torch.manual_seed(0)
    detector = Detector(Config("voice", "prosody", frontend="prosody", window=16_000))
    x = waveform(voice(1.0))
    by_time, by_group = (explain(detector, x, f"shapley-{of}") for of in ("time", "groups"))
    assert by_time.empty == pytest.approx(by_group.empty, abs=1e-5)
    fine = explain(detector, x, players=60, budget=1000)  # 17 ms: shorter than a column's step
    assert np.isfinite(fine.values).all() and fine.residual < 1e-4
