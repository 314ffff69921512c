"""cnn-lite: chunks of a second, joined by the root mean square of their probabilities."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from detectors.models.cnn_lite import CNNLite, rms_logit

LOGITS = st.lists(st.floats(-15, 15, width=32), min_size=1, max_size=6)


@given(LOGITS)
def test_the_logit_is_that_of_the_root_mean_square(logits):
    p = 1 / (1 + np.exp(-np.array(logits)))
    root = np.sqrt(np.mean(p**2))
    got = float(rms_logit(torch.tensor([logits], dtype=torch.float64)))
    assert np.isclose(got, np.log(root / (1 - root)), atol=1e-6)
    assert min(logits) - 1e-6 <= got <= max(logits) + 1e-6


def test_sure_chunks_stay_finite_with_a_gradient():
    logits = torch.tensor([[200.0, 300.0], [-200.0, -300.0]], requires_grad=True)
    joined = rms_logit(logits)
    joined.sum().backward()
    assert joined.isfinite().all() and 199 < joined[0] < 300 and -300 < joined[1] < -199
    assert logits.grad.isfinite().all()


def test_every_whole_chunk_counts_and_no_piece_of_one():
    torch.manual_seed(0)
    net = CNNLite(bands=20).eval()
    picture = torch.randn(1, 1, 20, 240)
    with torch.inference_mode():
        chunks = torch.cat([net(picture[..., n : n + 80]) for n in (0, 80, 160)])
        assert torch.allclose(net(picture), rms_logit(chunks[None]), atol=1e-5)
        assert torch.equal(net(picture[..., :239]), net(picture[..., :160]))
        short = torch.nn.functional.pad(picture[..., :50], (0, 30))
        assert torch.equal(net(picture[..., :50]), net(short))


def test_the_map_for_grad_cam_is_one_picture():
    net = CNNLite(bands=20, channels=3).eval()
    seen = []
    net.gradcam_layers()[0].register_forward_hook(lambda _, __, y: seen.append(y))
    net(torch.randn(2, 1, 20, 200))
    assert seen[0].shape == (2, 3, 9, 78)
