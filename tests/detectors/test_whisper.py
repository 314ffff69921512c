"""The Whisper detector: the published encoder to the last digit, and heads that average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from voice import voice

from detectors import Config, Detector
from detectors.frontends import WhisperMel
from detectors.models.whisper import POSITIONS, Head, Whisper

SMALL = {"width": 16, "attention_heads": 2, "hidden": 8}


@pytest.fixture(scope="module")
def theirs():
    """transformers' encoder of the same size with random weights far from zero."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    size = {"encoder_layers": 3, "d_model": 16, "encoder_attention_heads": 2}
    config = WhisperConfig(**size, encoder_ffn_dim=64, max_source_positions=POSITIONS, init_std=0.3)
    return WhisperEncoder(config).eval()


def test_the_encoder_is_that_of_transformers(theirs):
    ours = Whisper(**SMALL).eval()
    ours.load_published({f"model.encoder.{k}": v for k, v in theirs.state_dict().items()})
    mel = torch.randn(2, 80, 2 * POSITIONS)  # all the positions, which transformers insists on
    with torch.inference_mode():
        expected = theirs(mel, output_hidden_states=True).hidden_states
        made = ours.encoder(mel)
        last = theirs.layer_norm(made[3])  # the final norm, which we leave out
    for one, wanted in zip([*made[:3], last], expected, strict=True):
        assert torch.allclose(one, wanted, atol=1e-4)


def test_what_is_shorter_than_a_window_is_heard_repeated():
    torch.manual_seed(0)
    net, second = Whisper(**SMALL).eval(), torch.randn(2, 1, 80, 100)
    with torch.inference_mode():
        assert torch.equal(net(second), net(second.repeat(1, 1, 1, 4)))
        assert not torch.allclose(net(second), net(second.repeat(1, 1, 1, 4)[..., :-1]))
        longer = torch.randn(2, 1, 80, 2 * POSITIONS)
        assert not torch.allclose(net(longer), net(longer[..., :400]))


def test_the_features_are_those_of_transformers():
    from transformers import WhisperFeatureExtractor

    x = 0.2 * voice(4.0)
    wanted = WhisperFeatureExtractor()(
        x, sampling_rate=16_000, return_tensors="pt", padding="do_not_pad"
    ).input_features
    made = WhisperMel()(torch.from_numpy(x)[None])[:, 0]
    assert torch.allclose(made, wanted, atol=1e-4)


def test_bands_meet_where_the_filters_cross():
    mel = WhisperMel()
    edges = np.array(mel.hz_edges)
    assert len(edges) == 81 and (np.diff(edges) > 0).all() and edges[-1] < 8000
    for hz in (500.0, 3000.0):  # a tone is loudest in the band that it lies in
        tone = torch.sin(2 * torch.pi * hz * torch.arange(16_000) / 16_000)
        band = int(mel(tone[None])[0, 0].mean(dim=1).argmax())
        assert edges[band] - 20 <= hz <= edges[band + 1] + 20


def test_an_averaged_head_gives_the_mean_logit():
    torch.manual_seed(0)
    nets = [Whisper(**SMALL).eval() for _ in range(3)]
    merged = Head.average([net.head for net in nets])
    x = torch.randn(5, 128)
    mean = torch.stack([net.head(x) for net in nets]).mean(dim=0)
    assert merged.hidden.out_features == 24
    assert torch.allclose(merged.eval()(x), mean, atol=1e-6)


def test_a_head_that_learned_from_standardised_embeddings_reads_them_as_they_come():
    torch.manual_seed(0)
    head = Head(32, 8, 0.5).eval()
    x, mean, std = torch.randn(5, 32), torch.randn(32), torch.rand(32) + 0.1
    wanted = head((x - mean) / std)
    head.absorb(mean, std)
    assert torch.allclose(head(x), wanted, atol=1e-5)


def test_a_merged_network_is_kept_in_half_precision_and_scores_the_same(tmp_path):
    torch.manual_seed(0)
    made = Detector(Config("w", "whisper", SMALL, frontend="whisper-mel"))
    before = made.net.head.hidden.weight.clone()
    made.net.merge()
    assert (made.net.head.hidden.weight - before).abs().max() < 1e-3
    made.save(tmp_path / "w")
    opened = Detector.open(tmp_path / "w")
    size = (tmp_path / "w/weights.safetensors").stat().st_size
    assert size < 2.2 * sum(weight.numel() for weight in made.net.parameters()) + 8000
    x = np.stack([voice(4.04, seed)[:64_600] for seed in range(2)])
    logits = [d.logits(torch.from_numpy(x)) for d in (made, opened)]
    assert torch.equal(*logits)
    assert opened.digest == made.digest
    assert all(w.dtype == torch.float32 for w in opened.net.state_dict().values())


def test_a_number_that_half_precision_cannot_hold_stays_as_it_is(tmp_path):
    made = Detector(Config("w", "whisper", SMALL, frontend="whisper-mel"))
    made.save(tmp_path / "w")
    opened = Detector.open(tmp_path / "w")
    for one, two in zip(
        made.net.state_dict().values(), opened.net.state_dict().values(), strict=True
    ):
        assert one.equal(two)
