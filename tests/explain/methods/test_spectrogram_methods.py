"""Integrated gradients and Grad-CAM: complete where promised, and in the right place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from toys import WINDOW, Linear, Pooled, Tone, centre_of_evidence, hiss, toy, waveform, with_tone

from detectors import Config, Detector
from detectors.models.network import Network
from explain import ExplainError, explain, methods
from explain.coalitions.masking import background, istft, stft


def check_edges(explanation, start: float, end: float) -> None:
    f, t = explanation.values.shape
    assert len(explanation.times) == t + 1 and len(explanation.freqs) == f + 1
    assert (np.diff(explanation.times) > 0).all() and (np.diff(explanation.freqs) > 0).all()
    assert explanation.times[[0, -1]] == pytest.approx([start, end])
    assert explanation.freqs[0] >= 0 and explanation.freqs[-1] <= 8000


# --- integrated gradients ---


@pytest.mark.parametrize("name", ["noise", "zeros"])
def test_a_linear_detector_is_explained_completely(name):
    weight = 10 * hiss(seed=1)
    detector, x = toy(Linear(torch.from_numpy(weight))), hiss(seed=2)
    explanation = explain(detector, waveform(x), "integrated-gradients", steps=2, baseline=name)
    assert abs(explanation.full - explanation.empty) > 0.1
    assert explanation.residual < 1e-4
    assert explanation.full == pytest.approx(float(x @ weight), abs=1e-4)
    assert explanation.forwards == 4


def test_a_quadratic_detector_is_explained_completely():
    explanation = explain(toy(Tone(1000)), waveform(with_tone(0.2, 0.5)), "integrated-gradients")
    assert explanation.residual < 1e-3 * explanation.full
    assert not explanation.notes


def test_a_linear_detector_has_closed_form_attributions():
    # For logit = w . x the value of a cell is its own part of the gain: switch only that cell.
    weight, x = torch.from_numpy(hiss(seed=1)), torch.from_numpy(hiss(seed=2))
    explanation = explain(toy(Linear(weight)), waveform(x), "integrated-gradients", steps=2)
    spectrum = stft(x[None])
    gain = spectrum.abs() - background(x)[None, :, None]
    for row, column in ((20, 30), (128, 60), (250, 5)):
        alone = torch.zeros_like(spectrum)
        alone[0, row, column] = torch.polar(gain[0, row, column], spectrum[0, row, column].angle())
        expected = float(istft(alone, WINDOW)[0] @ weight)
        assert explanation.values[row, column] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("hz", [500, 1000, 3000])
def test_a_planted_tone_is_found_in_time_and_frequency(hz):
    explanation = explain(
        toy(Tone(hz)), waveform(with_tone(0.6, 0.7, hz)), "integrated-gradients", steps=4
    )
    second, frequency = centre_of_evidence(explanation)
    assert second == pytest.approx(0.65, abs=0.03)
    assert frequency == pytest.approx(hz, abs=60)
    check_edges(explanation, 0, 1)
    assert explanation.freqs[-1] == 8000
    row, column = np.unravel_index(explanation.values.argmax(), explanation.values.shape)
    assert explanation.freqs[row] <= hz + 32 and explanation.freqs[row + 1] >= hz - 32
    assert 0.6 <= explanation.times[column] <= 0.7


@pytest.mark.parametrize("architecture", ["cnn", "resnet", "aasist"])
def test_every_architecture_has_gradients_to_the_spectrogram(architecture):
    torch.manual_seed(0)
    detector = Detector(
        Config(
            architecture,
            architecture,
            {"cnn": {"channels": (4, 4)}, "resnet": {"width": 4}}.get(architecture, {}),
            frontend="raw" if architecture == "aasist" else "log-mel",
            window=WINDOW,
        )
    )
    explanation = explain(detector, waveform(hiss()), "integrated-gradients", steps=2)
    check_edges(explanation, 0, 1)
    assert np.isfinite(explanation.values).all()
    assert np.abs(explanation.values).max() > 0


def test_a_large_residual_is_said():
    class Step(Network):  # flat almost everywhere: gradients miss the jump
        def forward(self, x):
            return 0 * x.sum(1) + (x.square().mean(1) > 1e-4)

    explanation = explain(toy(Step()), waveform(hiss()), "integrated-gradients", baseline="zeros")
    assert explanation.residual == pytest.approx(1)
    assert "miss the whole by 1.00 of 1.00" in explanation.notes[0]


def test_a_short_clip_keeps_its_own_time():
    x = with_tone(0.35, 0.45, n=9_600)
    explanation = explain(toy(Tone(1000)), waveform(x), "integrated-gradients", steps=4)
    check_edges(explanation, 0, 0.6)
    assert centre_of_evidence(explanation)[0] == pytest.approx(0.4, abs=0.03)
    assert explanation.residual < 1e-3 * explanation.full


def test_a_long_clip_is_explained_in_one_stretch():
    x = with_tone(3.2, 3.4, n=5 * WINDOW)
    explanation = explain(toy(Tone(1000)), waveform(x), "integrated-gradients", steps=2)
    assert explanation.times[-1] - explanation.times[0] == pytest.approx(1)
    assert centre_of_evidence(explanation)[0] == pytest.approx(3.3, abs=0.03)


@pytest.mark.parametrize("options", [{"steps": 1}, {"steps": 0}, {"baseline": "music"}])
def test_values_that_integrated_gradients_do_not_take(options):
    with pytest.raises(ExplainError):
        explain(toy(Tone(1000)), waveform(hiss()), "integrated-gradients", **options)


# --- Grad-CAM ---


def pooled(**changes) -> Detector:
    torch.manual_seed(0)
    return toy(Pooled(), frontend="log-mel", **changes)


def test_the_map_of_a_linear_head_adds_up_to_the_logit():
    detector = pooled()
    explanation = explain(detector, waveform(hiss()), "gradcam")
    # interpolation moves a little of the sum at the borders
    assert explanation.values.sum() == pytest.approx(explanation.full, rel=0.02)
    assert math.isnan(explanation.residual) and math.isnan(explanation.empty)
    check_edges(explanation, 0, 1)
    assert explanation.values.shape == (80, 100)
    assert explanation.freqs == pytest.approx(detector.frontend.hz_edges)


@pytest.mark.parametrize("hz", [1000, 3000])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_map_is_signed_and_in_place(hz, sign):
    detector = pooled()
    with torch.no_grad():  # reacts to loud cells only, for fake or for real
        detector.net.conv.weight.fill_(1 / 9)
        detector.net.conv.bias.fill_(-1.0)
        detector.net.weight.copy_(torch.tensor([sign, 0.0, 0.0]))
    x = with_tone(0.6, 0.7, hz) - hiss() * 0.999  # next to silence around the tone
    explanation = explain(detector, waveform(x), "gradcam")
    assert np.sign(explanation.full) == sign
    assert (sign * explanation.values >= 0).all()
    row, column = np.unravel_index((sign * explanation.values).argmax(), (80, 100))
    assert explanation.freqs[max(row - 2, 0)] <= hz <= explanation.freqs[row + 3]
    assert 0.55 <= explanation.times[column] <= 0.75


def test_repeats_of_a_short_clip_are_folded_onto_it():
    detector = pooled()
    explanation = explain(detector, waveform(hiss(9_600)), "gradcam")
    check_edges(explanation, 0, 0.6)
    assert explanation.values.shape == (80, 60)
    assert explanation.values.sum() == pytest.approx(explanation.full, rel=0.02)


@pytest.mark.parametrize("architecture", ["cnn", "resnet", "aasist"])
def test_every_shipped_architecture_names_its_map(architecture):
    torch.manual_seed(0)
    frontend = "raw" if architecture == "aasist" else "log-mel"
    detector = Detector(Config(architecture, architecture, frontend=frontend, window=WINDOW))
    explanation = explain(detector, waveform(hiss()), "gradcam")
    check_edges(explanation, 0, 1)
    assert np.abs(explanation.values).max() > 0


# --- the choice between methods ---


def test_a_detector_without_a_map_has_no_gradcam():
    detector = toy(Tone(1000))
    assert {"gradcam", "guided-gradcam", "shapley-groups"}.isdisjoint(methods(detector))
    with pytest.raises(ExplainError, match="no convolutional map of bands by time"):
        explain(detector, waveform(hiss()), "gradcam")
    assert "gradcam" in methods(pooled())


def test_unknown_methods_and_options_are_refused_with_the_known_ones():
    with pytest.raises(ExplainError, match="no method 'tea-leaves'; there are shapley-multigrid, "):
        explain(pooled(), waveform(hiss()), "tea-leaves")
    with pytest.raises(ExplainError, match="no option 'players'; its options are start_s"):
        explain(pooled(), waveform(hiss()), "gradcam", players=5)
    with pytest.raises(ExplainError, match="its options are players, budget, baseline, seed, "):
        explain(pooled(), waveform(hiss()), "shapley-time", steps=5)


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-shap", "saliency"])
def test_a_front_end_without_a_gradient_is_refused(method):
    detector = pooled()
    detector.frontend.differentiable = False
    assert method not in methods(detector)
    with pytest.raises(ExplainError, match="no gradient passes through its front-end"):
        explain(detector, waveform(hiss()), method)


def test_an_empty_clip_is_refused():
    with pytest.raises(ExplainError, match="nothing to explain"):
        explain(toy(Tone(1000)), waveform(np.zeros(0)))
