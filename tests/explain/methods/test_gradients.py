"""Saliency, GradientShap, DeepLIFT and guided Grad-CAM: closed forms, places, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from toys import WINDOW, Linear, Pooled, Tone, centre_of_evidence, hiss, toy, waveform, with_tone

from detectors import Config, Detector
from detectors.models.network import Network
from explain import ExplainError, explain, methods, refusal
from explain.coalitions.masking import baseline

# --- saliency and GradientShap ---


def test_on_a_linear_detector_gradient_times_input_is_integrated_gradients():
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    one = explain(detector, wave, "saliency")
    same = explain(detector, wave, "integrated-gradients", steps=2, baseline="zeros")
    assert one.values == pytest.approx(same.values, abs=1e-6)
    assert one.values.sum() == pytest.approx(one.full - one.empty, abs=1e-5)
    assert math.isnan(one.residual)


def test_the_bare_gradient_is_signed_and_does_not_know_the_input():
    wave = waveform(hiss(seed=2))
    weight = torch.from_numpy(hiss(seed=1))
    bare = explain(toy(Linear(weight)), wave, "saliency", times_input=False).values
    against = explain(toy(Linear(-weight)), wave, "saliency", times_input=False).values
    assert np.abs(bare).max() > 0
    np.testing.assert_allclose(bare, -against, atol=1e-9)
    times = explain(toy(Linear(weight)), wave, "saliency").values
    assert not np.allclose(bare, times)


def test_gradient_shap_is_complete_on_a_linear_detector():
    detector, wave = toy(Linear(torch.from_numpy(hiss(seed=1)))), waveform(hiss(seed=2))
    explanation = explain(detector, wave, "gradient-shap", samples=3)
    assert explanation.residual < 1e-4
    assert explanation.forwards == 7


@pytest.mark.parametrize("method", ["saliency", "gradient-shap"])
def test_a_planted_tone_is_found(method):
    explanation = explain(toy(Tone(3000)), waveform(with_tone(0.6, 0.7, 3000)), method)
    second, frequency = centre_of_evidence(explanation)
    assert second == pytest.approx(0.65, abs=0.04)
    assert frequency == pytest.approx(3000, abs=120)


def test_gradient_shap_repeats_with_its_seed_and_says_how_sure_it_is():
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.2, 0.4))
    np.random.seed(9)
    expected = np.random.random()
    np.random.seed(9)
    one, same, other = (explain(detector, wave, "gradient-shap", seed=seed) for seed in (1, 1, 50))
    assert np.random.random() == expected, "others' random numbers are left alone"
    np.testing.assert_array_equal(one.values, same.values)
    assert one.stderr.shape == one.values.shape
    spread = math.sqrt(2) * one.stderr.max()
    assert 0 < np.abs(one.values - other.values).max() < 6 * spread


@pytest.mark.parametrize("seed", [0, 100, 200])
def test_samples_are_complete_on_average(seed):
    # a quadratic detector: one sample's sum is 2 u times the gain, u uniform, so 0.58 off
    detector, wave = toy(Tone(1000)), waveform(with_tone(0.2, 0.4))
    explanation = explain(detector, wave, "gradient-shap", samples=32, seed=seed)
    gain = explanation.full - explanation.empty
    assert explanation.residual < 3 * 0.58 / math.sqrt(32) * gain


# --- DeepLIFT ---


def test_deeplift_has_closed_form_values_on_a_linear_detector():
    weight, x = torch.from_numpy(hiss(seed=1)), torch.from_numpy(hiss(seed=2))
    explanation = explain(toy(Linear(weight)), waveform(x), "deeplift")
    each = (weight.double() * (x - baseline(x)).double()).numpy()
    assert explanation.values == pytest.approx(each.reshape(100, 160).sum(axis=1), abs=1e-6)
    assert explanation.residual < 1e-4
    assert explanation.freqs is None and len(explanation.times) == 101


def test_deeplift_adds_up_through_a_relu_on_the_picture():
    torch.manual_seed(0)
    detector = toy(Pooled(), frontend="log-mel")
    explanation = explain(detector, waveform(with_tone(0.2, 0.5)), "deeplift")
    assert explanation.values.shape == (80, 100)
    assert abs(explanation.full - explanation.empty) > 0.01
    assert explanation.residual < 1e-4


class Reusing(Network):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.relu = nn.Linear(WINDOW, 4), nn.ReLU()

    def forward(self, x):
        return self.relu(self.relu(self.linear(x)) - 1).sum(dim=1)


class Functional(Reusing):
    def forward(self, x):
        return torch.relu(self.linear(x)).sum(dim=1)


class Product(Reusing):
    def forward(self, x):
        return (self.linear(x) * self.linear(x)).sum(dim=1)


class Selu(Reusing):
    def __init__(self) -> None:
        super().__init__()
        self.selu = nn.SELU()

    def forward(self, x):
        return self.selu(self.linear(x)).sum(dim=1)


class Turning(Reusing):
    def forward(self, x):
        return self.linear(x).sum(dim=1) if x.sum() > 0 else x.sum(dim=1)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Reusing, "uses the module 'relu' more than once"),
        (Functional, "computes 'relu' outside of a module"),
        (Product, "computes 'mul' outside of a module"),
        (Selu, "no rule for SELU"),
        (Turning, "cannot be traced"),
    ],
)
def test_deeplift_is_refused_with_the_reason_where_its_rules_do_not_hold(net, reason):
    detector = toy(net())
    assert "deeplift" not in methods(detector)
    with pytest.raises(ExplainError, match=reason):
        explain(detector, waveform(hiss()), "deeplift")


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [("cnn", "softmax"), ("resnet", "more than once"), ("aasist", "cannot be traced")],
)
def test_shipped_architectures_say_why_deeplift_is_not_for_them(architecture, reason):
    frontend = "raw" if architecture == "aasist" else "log-mel"
    detector = Detector(Config(architecture, architecture, frontend=frontend))
    assert reason in refusal("deeplift", detector)


# --- guided Grad-CAM ---


def small(architecture: str) -> Detector:
    torch.manual_seed(0)
    options = {"cnn": {"channels": (4, 4)}, "resnet": {"width": 4}}[architecture]
    return Detector(Config(architecture, architecture, options, window=WINDOW))


@pytest.mark.parametrize("architecture", ["cnn", "resnet"])
def test_guided_gradcam_is_where_gradcam_is_and_leaves_the_network_alone(architecture):
    detector, wave = small(architecture), waveform(hiss())
    before = explain(detector, wave, "gradcam")
    relus = [m.inplace for m in detector.net.modules() if isinstance(m, nn.ReLU)]
    guided = explain(detector, wave, "guided-gradcam", layers=1)
    assert guided.values.shape == before.values.shape
    assert np.abs(guided.values).max() > 0
    signs = np.sign(guided.values) * np.sign(before.values)
    assert (signs >= 0).mean() > 0.99  # interpolated at slightly different places
    assert [m.inplace for m in detector.net.modules() if isinstance(m, nn.ReLU)] == relus
    np.testing.assert_array_equal(explain(detector, wave, "gradcam").values, before.values)


def test_no_layer_outweighs_the_others():
    detector, wave = small("cnn"), waveform(hiss())
    with torch.no_grad():
        every = explain(detector, wave, "guided-gradcam", layers=2).values
        detector.net.features[-2][-2].weight *= 1e4  # a layer with large numbers,
        detector.net.features[-2][-2].bias *= 1e4
        detector.net.features[-1][0].weight /= 1e4  # that the next one makes small again
    scaled = explain(detector, wave, "guided-gradcam", layers=2).values
    assert scaled == pytest.approx(every, rel=1e-2, abs=1e-3 * np.abs(every).max())


def test_guided_gradcam_needs_relus_and_a_map():
    assert "no convolutional map" in refusal("guided-gradcam", toy(Reusing()))
    assert "no ReLU" in refusal("guided-gradcam", toy(Tone(1000)))
    with pytest.raises(ExplainError, match="layers"):
        explain(small("cnn"), waveform(hiss()), "guided-gradcam", layers=0)


@pytest.mark.parametrize("method", ["gradient-shap"])
def test_one_sample_says_nothing_about_its_error(method):
    with pytest.raises(ExplainError, match="two samples or more"):
        explain(toy(Tone(1000)), waveform(hiss()), method, samples=1)
