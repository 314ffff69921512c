"""Pictures: axes in seconds and kilohertz, both directions in words, the right places lit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure
from toys import Tone, hiss, toy, waveform, with_tone

from explain import ExplainError, Explanation, explain
from explain.draw import png, spectrogram_figure, time_figure
from explain.saliency_colours import heat

LONG = waveform(hiss(80_000))
TIME = Explanation(
    method="shapley-time",
    detector="toy",
    values=np.array([0.5, -1.0, 0.0, 2.0]),
    times=np.linspace(2, 3, 5),
    freqs=None,
    full=1.5,
    empty=0.0,
    residual=0.0,
)
MAP = dataclasses.replace(
    TIME,
    values=np.eye(4),
    freqs=np.array([0, 500, 1000, 3000, 7600]),
)


def words(figure: Figure) -> set[str]:
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_time_figure_shows_the_stretch_and_its_surroundings():
    figure = time_figure(TIME, LONG)
    (axes,) = figure.axes
    assert axes.get_xlim() == pytest.approx((1.9, 3.1))
    assert axes.get_xlabel() == "Time (s)"
    assert words(figure) == {"towards fake", "towards real"}
    assert [text.get_text() for text in axes.texts] == ["+0.50", "-1.00", "+0.00", "+2.00"]


def test_windows_are_lit_by_their_share_and_sign():
    (axes,) = time_figure(TIME, LONG).axes
    spans = {round(patch.get_x(), 2): patch for patch in axes.patches}
    alphas = [spans[x].get_alpha() for x in (2.0, 2.25, 2.5, 2.75)]
    assert alphas == pytest.approx([0.45 / 4, 0.45 / 2, 0, 0.45])
    warm, cool = spans[2.75].get_facecolor()[:3], spans[2.25].get_facecolor()[:3]
    assert warm[0] > warm[2] and cool[2] > cool[0]


def test_the_axis_ends_with_the_clip():
    wave = waveform(hiss())
    (axes,) = time_figure(dataclasses.replace(TIME, times=np.linspace(0, 1, 5)), wave).axes
    assert axes.get_xlim() == pytest.approx((0, 1))


def test_spectrogram_figure_has_both_axes_and_the_words():
    figure = spectrogram_figure(MAP, LONG)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "Time (s)" and axes.get_ylabel() == "Frequency (kHz)"
    assert axes.get_ylim() == (0, 8)
    assert axes.get_xlim() == pytest.approx((1.9, 3.1))
    assert words(figure) == {"towards fake", "towards real"}


def test_uneven_bands_stand_at_their_frequencies():
    corner = np.zeros((4, 4))
    corner[2, 2] = 1.0  # from 1,000 to 3,000 Hz and from 2.5 to 2.75 s
    grid = heat(dataclasses.replace(MAP, values=corner), (256, 800))
    rows, columns = grid.shape
    assert grid[rows * 2 // 8, columns * 5 // 8] > 0.9
    assert grid[rows * 2 // 8, columns * 1 // 8] == pytest.approx(0, abs=1e-6)
    assert grid[rows * 6 // 8, columns * 5 // 8] == pytest.approx(0, abs=1e-6)
    assert np.abs(heat(dataclasses.replace(MAP, values=-corner), (256, 800)) + grid).max() < 1e-12


def test_colour_times_area_is_evidence():
    values = np.zeros((4, 4))
    values[0, 0], values[3, 2] = 1.0, 1.0  # cells 500 and 4,600 Hz high
    grid = heat(dataclasses.replace(MAP, values=values), (400, 400))
    low, high = grid[:60, :200].sum(), grid[100:, 200:].sum()
    assert low == pytest.approx(high, rel=0.25)  # blurred at the edge of the picture


@pytest.mark.parametrize("method", ["shapley-time", "integrated-gradients"])
def test_png_of_a_real_explanation(method):
    wave = waveform(with_tone(0.2, 0.4))
    picture = png(explain(toy(Tone(1000)), wave, method), wave)
    assert picture.startswith(b"\x89PNG")
    width, height = (int.from_bytes(picture[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1000, 260)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ExplainError):
        time_figure(dataclasses.replace(TIME, times=None), LONG)
    with pytest.raises(ValueError, match="not over time and frequency"):
        spectrogram_figure(TIME, LONG)


def test_nothing_at_all_is_drawn_as_nothing():
    (axes,) = time_figure(dataclasses.replace(TIME, values=np.zeros(4)), LONG).axes
    assert all(patch.get_alpha() == 0 for patch in axes.patches)
    assert not heat(dataclasses.replace(MAP, values=np.zeros((4, 4))), (9, 9)).any()
