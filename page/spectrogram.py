"""The spectrogram of a recording under the saliency of an explanation, as HTML.

Warm colours are evidence for fake, cool ones for real; the clock is that of `figures`.
"""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image

from detectors import Waveform
from detectors.audio import RATE
from explain import Explanation, decisive_seconds
from explain.explanation import rebin
from explain.saliency_colours import heat

from .figures import frame, plot
from .rendering import side, signed, towards

N_FFT, HOP = 512, 64  # 32-ms frames every 4 ms: about a thousand pixels wide
RANGE_DB = 70.0
WARM, COOL = (249, 115, 22), (37, 99, 235)


def spectrogram(
    wave: Waveform,
    explanation: Explanation | None = None,
    span: tuple[float, float] | None = None,
) -> Markup:
    """Loudness by time and frequency, 0 to 8 kHz, under the saliency of the explanation.

    Drawn are the seconds of the explanation, or of span where it has none, 65 at most.
    """
    start, end = span or (0.0, wave.facts.seconds)
    if explanation is not None and explanation.times is not None:
        start, end = float(explanation.times[0]), float(explanation.times[-1])
    samples = wave.whole()[round(start * RATE) : round(end * RATE)]
    ink = _loudness(samples)
    layers = f'<img class="ink" alt="" src="{_data_address(_black(ink))}"/>'
    alt = "Spectrogram."
    if explanation is not None and explanation.freqs is not None:
        colours = _coloured(heat(explanation, ink.shape))
        layers += f'<img class="heat" alt="" src="{_data_address(colours)}"/>'
        strongest = loudest_cells(explanation)
        alt = f"Spectrogram with what decided coloured; strongest {strongest}."
    ticks = "".join(
        f'<span class="hz" style="bottom:{12.5 * khz}%">{khz} kHz</span>' for khz in (2, 4, 6)
    )
    if explanation is not None and explanation.values.shape[-1] == 1:
        ticks += _band_labels(explanation)
    return plot(frame(layers + ticks, start, end, alt, 240, "pixels"), start, end)


def _band_labels(explanation: Explanation) -> str:
    """The value of each band of a map that is one column wide, at its right edge."""
    assert explanation.freqs is not None
    middles = 100 * (explanation.freqs[:-1] + explanation.freqs[1:]) / RATE
    return "".join(
        f'<span class="hz right" style="bottom:{at:.1f}%">{signed(value)}</span>'
        for at, value in zip(middles, explanation.values[:, 0], strict=True)
    )


def loudest_cells(explanation: Explanation) -> str:
    """Where a map over time and frequency is strongest, in words: "2.1 to 2.6 s, 3 to 4 kHz"."""
    assert explanation.times is not None and explanation.freqs is not None
    if explanation.values.shape[1] == 1:
        band = int(np.argmax(np.abs(explanation.values)))
        low, high = explanation.freqs[band : band + 2] / 1000
        return f"{low:.1f} to {high:.1f} kHz, {towards(float(explanation.values[band, 0]))}"
    start, end, value = decisive_seconds(explanation, 1)[0]
    centres = (explanation.times[:-1] + explanation.times[1:]) / 2
    there = explanation.values[:, (centres >= start) & (centres <= end)].sum(axis=1)
    edges = explanation.freqs
    if len(there) > 8:  # a fine map is told by the kHz
        edges = np.arange(0.0, RATE / 2 + 1, 1000)
        there = rebin(there, explanation.freqs, edges)
    best = int(np.argmax(np.sign(value) * there))
    low, high = edges[best : best + 2] / 1000
    return f"{start:.1f} to {end:.1f} s, {low:.3g} to {high:.3g} kHz, towards {side(value)}"


def _loudness(samples: np.ndarray) -> np.ndarray:
    """(257, t) from 0 (RANGE_DB below the loudest cell, or less) to 1."""
    x = torch.from_numpy(np.ascontiguousarray(samples))
    spectrum = torch.stft(
        x, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True, pad_mode="constant"
    )
    power = spectrum.abs().square().numpy()
    decibels = 10 * np.log10(power / max(float(power.max()), 1e-12) + 1e-12)
    return np.clip(1 + decibels / RANGE_DB, 0, 1)


def _black(ink: np.ndarray) -> np.ndarray:
    """(f, t) from 0 to 1 -> (f, t, 4) black whose opacity is the loudness."""
    alpha = (255 * ink**1.5).astype(np.uint8)
    return np.dstack([np.zeros((*ink.shape, 3), np.uint8), alpha])


def _coloured(strength: np.ndarray) -> np.ndarray:
    """(f, t) from -1 to 1 -> (f, t, 4) warm or cool whose opacity is the strength."""
    colour = np.where(strength[..., None] > 0, np.array(WARM), np.array(COOL)).astype(np.uint8)
    return np.dstack([colour, (215 * np.abs(strength)).astype(np.uint8)])


def _data_address(rgba: np.ndarray) -> str:
    """(f, t, 4) with frequency rising -> data address of a WebP image, 0 Hz at the bottom."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba[::-1])).save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
