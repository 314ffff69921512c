"""Figures of one explanation: the lit waveform, the spectrogram under its saliency, or bars.

Warm colours are evidence for fake, cool ones for real, in both.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from detectors.audio import RATE, Waveform

from .coalitions.masking import stft
from .explanation import Explanation, by_size, over_time
from .saliency_colours import heat

WARM, COOL = (0.98, 0.45, 0.09), (0.15, 0.39, 0.92)
INK, FAINT = "#334155", "#cbd5e1"
SIZE = (10.0, 2.6)  # inches, at 100 dots each
RANGE_DB = 70.0
GRID = (256, 800)  # cells of a drawn saliency, frequency and time
MOST_FIGURES = 16  # windows that have room for their figures
MARGIN = 0.1  # share of the segment shown on either side where the clip goes on


def png(explanation: Explanation, wave: Waveform) -> bytes:
    """The figure that suits the explanation, as a PNG file."""
    if explanation.names:
        figure = names_figure(explanation)
    elif explanation.freqs is not None:
        figure = spectrogram_figure(explanation, wave)
    else:
        figure = time_figure(explanation, wave)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def names_figure(explanation: Explanation) -> Figure:
    """A bar for each named value, the largest on top, fake to the right."""
    names, values = zip(*by_size(explanation), strict=True)
    figure = Figure(
        figsize=(SIZE[0], 1.0 + 0.3 * len(names)), dpi=100, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.barh(range(len(names)), values, color=[_side(value) for value in values])
    axes.bar_label(bars, [f"{value:+.2f}" for value in values], padding=3, fontsize=8, color=INK)
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(f"Evidence ({explanation.unit})")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(figure)
    return figure


def time_figure(explanation: Explanation, wave: Waveform) -> Figure:
    """The waveform with each segment lit by its evidence, and the evidence in numbers.

    ExplainError when the explanation has no time axis.
    """
    values, edges = over_time(explanation)
    figure, axes = _frame(wave, edges)
    seconds, low, high = _envelope(wave, *axes.get_xlim())
    peak = max(float(np.abs(high).max()), float(np.abs(low).max()), 1e-6)
    inside = (seconds >= edges[0]) & (seconds <= edges[-1])
    for part, colour in ((slice(None), FAINT), (inside, INK)):
        axes.fill_between(seconds[part], low[part] / peak, high[part] / peak, color=colour, lw=0.6)
    strongest = max(float(np.abs(values).max()), 1e-12)
    for start, end, value in zip(edges[:-1], edges[1:], values, strict=True):
        share = abs(value) / strongest
        axes.axvspan(start, end, color=_side(value), alpha=0.45 * share, lw=0, zorder=0)
        if len(values) <= MOST_FIGURES:
            style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8}
            tint = INK if share > 0.1 else "#94a3b8"
            axes.text((start + end) / 2, 1.06, f"{value:+.2f}", color=tint, **style)
    axes.set(ylim=(-1.05, 1.25), yticks=[])
    return figure


def spectrogram_figure(explanation: Explanation, wave: Waveform) -> Figure:
    """Loudness by time and frequency in grey, the saliency (f, t) over it; seconds and kilohertz.

    The colour is the density of the evidence (`heat.heat`, which also raises).
    """
    strength = heat(explanation, GRID)
    assert explanation.times is not None
    figure, axes = _frame(wave, explanation.times)
    start, end = axes.get_xlim()
    samples = torch.from_numpy(wave.samples[round(start * RATE) : round(end * RATE)])
    decibels = 20 * torch.log10(stft(samples[None])[0].abs() + 1e-9).numpy()
    loudest = float(decibels.max())
    khz = RATE / 2000
    common: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "bilinear"}
    axes.imshow(
        decibels, cmap="Greys", vmin=loudest - RANGE_DB, vmax=loudest, alpha=0.75,
        extent=(start, end, 0, khz), **common,
    )  # fmt: skip
    colour = np.where(strength[..., None] > 0, np.array(WARM), np.array(COOL))
    axes.imshow(
        np.dstack([colour, 0.85 * np.abs(strength)]),
        extent=(explanation.times[0], explanation.times[-1], 0, khz), **common,
    )  # fmt: skip
    axes.set(xlim=(start, end), ylim=(0, khz), yticks=[0, 2, 4, 6, 8], ylabel="Frequency (kHz)")
    return figure


def _frame(wave: Waveform, edges: np.ndarray) -> tuple[Figure, Axes]:
    """Figure with a time axis over the segment and a little of what surrounds it, and a legend."""
    figure = Figure(figsize=SIZE, dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    margin = MARGIN * (edges[-1] - edges[0])
    end = len(wave.samples) / RATE
    axes.set(xlim=(max(edges[0] - margin, 0), min(edges[-1] + margin, end)), xlabel="Time (s)")
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure)
    return figure, axes


def _legend(figure: Figure) -> None:
    handles = [Patch(color=WARM, label="towards fake"), Patch(color=COOL, label="towards real")]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False, fontsize=9)


def _envelope(wave: Waveform, start: float, end: float) -> tuple[np.ndarray, ...]:
    """Lowest and highest sample in about 1,500 columns: seconds, low and high."""
    first = round(start * RATE)
    samples = wave.samples[first : round(end * RATE)]
    starts = np.unique(np.linspace(0, len(samples), 1500, endpoint=False).astype(int))
    low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    return (first + starts) / RATE, low, high


def _side(value: float) -> tuple[float, float, float]:
    return WARM if value > 0 else COOL
