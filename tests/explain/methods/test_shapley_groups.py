"""Group Shapley: the values that a small game has by hand, and what exact values must obey."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from toys import Linear, hiss, toy, waveform
from voice import voice

from detectors import Config, Detector
from detectors.frontends.frontend import Frontend
from detectors.models.network import Network
from explain import ExplainError, Explanation, explain, methods
from explain.__main__ import main, summary
from explain.draw import names_figure, png


class Moments(Frontend):
    """Three groups of one channel: a mean and a power of the samples, and one that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = {"mean": slice(0, 1), "power": slice(1, 2), "unread": slice(2, 3)}

    def forward(self, x: Tensor) -> Tensor:
        rows = [x.mean(dim=-1), x.square().mean(dim=-1), x.amax(dim=-1)]
        return torch.stack(rows, dim=1)[:, :, None].expand(-1, -1, 5)


class Sum(Network):
    """Logit = 2 a + 3 b + 4 a b of the first two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, -1.0, 7.0]))

    @property
    def feature_groups(self):
        return self

    def embed(self, features: Tensor) -> Tensor:
        return features.mean(dim=-1)[:, :, None]

    def head(self, embeddings: Tensor) -> Tensor:
        a, b = embeddings[:, 0, 0], embeddings[:, 1, 0]
        return 2 * a + 3 * b + 4 * a * b

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.embed(features))


@pytest.fixture
def small() -> Detector:
    detector = toy(Sum())
    detector.frontend = Moments()
    return detector


@pytest.fixture(scope="module")
def real() -> Detector:
    torch.manual_seed(0)
    return Detector(Config("voice", "prosody", frontend="prosody", window=16_000))


def test_values_are_those_worked_out_by_hand(small):
    x = hiss() + 0.2
    found = explain(small, waveform(x), "shapley-groups")
    a, b = float(x.mean()), float(np.mean(x.astype(np.float64) ** 2))
    a0, b0 = 0.5, -1.0
    joint = (a - a0) * (b - b0) * 4  # what only both together bring, shared equally
    assert found.names == ("mean", "power", "unread")
    assert found.values[0] == pytest.approx((a - a0) * (2 + 4 * b0) + joint / 2, abs=1e-4)
    assert found.values[1] == pytest.approx((b - b0) * (3 + 4 * a0) + joint / 2, abs=1e-4)
    assert found.empty == pytest.approx(2 * a0 + 3 * b0 + 4 * a0 * b0, abs=1e-5)


def test_a_group_that_nobody_reads_gets_nothing(small):
    assert explain(small, waveform(hiss()), "shapley-groups").values[2] == 0


def test_values_add_up_to_the_detectors_own_logit(real):
    wave = waveform(voice(1.0))
    found = explain(real, wave, "shapley-groups")
    assert found.values.shape == (len(found.names),) == (12,)
    assert found.residual < 1e-5
    assert found.full == pytest.approx(real.window_logits(wave.samples, [0])[0], abs=1e-4)
    assert found.times is None and found.freqs is None and found.stderr is None
    assert np.abs(found.values).max() > 0


def test_gain_and_a_repeat_of_the_call_change_nothing(real):
    x = voice(1.0)
    once, again, quiet = (
        explain(real, waveform(y), "shapley-groups").values for y in (x, x, 0.1 * x)
    )
    assert np.array_equal(once, again)
    assert quiet == pytest.approx(once, abs=1e-3)


def test_json_keeps_the_names(real):
    found = explain(real, waveform(voice(1.0)), "shapley-groups")
    assert Explanation.from_json(found.to_json()).names == found.names


def test_only_detectors_with_feature_groups_have_it():
    plain = toy(Linear(torch.ones(16_000)))
    assert "shapley-groups" not in methods(plain)
    with pytest.raises(ExplainError, match="does not explain toy"):
        explain(plain, waveform(hiss()), "shapley-groups")


def test_groups_are_drawn_and_printed_by_size(small):
    wave = waveform(hiss() + 0.2)
    found = explain(small, wave, "shapley-groups")
    (axes,) = names_figure(found).axes
    said = [label.get_text() for label in axes.get_yticklabels()]
    order = np.argsort(-np.abs(found.values))
    assert said == [found.names[i] for i in order]
    assert axes.yaxis_inverted()
    assert png(found, wave).startswith(b"\x89PNG")
    lines = [line.split()[0] for line in summary(found).splitlines() if "towards" in line]
    assert lines == said


def test_the_command_prints_the_groups(real, tmp_path, capsys):
    real.save(tmp_path / "voice")
    soundfile.write(tmp_path / "clip.wav", voice(1.0), 16_000)
    arguments = [str(tmp_path / "clip.wav"), "--detector", str(tmp_path / "voice")]
    assert main(["clip", *arguments, "--method", "shapley-groups"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("shapley-groups on voice")
    assert said.count("towards") == 12 and "jitter" in said
