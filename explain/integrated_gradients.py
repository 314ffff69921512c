"""Integrated gradients (Sundararajan et al. 2017, eq. 1) on the magnitudes of the spectrogram.

Valid for every detector, also those that read the waveform: the clip is rebuilt from magnitudes
and its own phase inside the differentiated function, so gradients reach time-frequency cells.
"""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector

from .explanation import ExplainError, Explanation
from .players import HOP, N_FFT, background, istft, stft
from .stretch import decisive

LARGE = 0.1  # share of the gain that may go missing without a word
BASELINES = ("noise", "zeros")


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    steps: int = 16,
    baseline: str = "noise",
    start_s: float | None = None,
) -> Explanation:
    """Attributions (f, t) of STFT magnitudes (257 bins, 8-ms frames) in the decisive stretch.

    The path runs from the baseline's magnitudes to the clip's, with the phase of the clip kept:
    "noise" is the clip's background spectrum (`players.background`, constant in time), the same
    floor that replaces switched-off windows; "zeros" is digital silence, where a logarithm's
    gradient is steep and more steps are needed. steps: Gauss-Legendre nodes of the integral.
    residual: the distance from completeness, which falls as steps rise while the network is
    smooth; a note says when it is large. Raises ExplainError.
    """
    if baseline not in BASELINES:
        raise ExplainError(f"There is no baseline '{baseline}'; there are {', '.join(BASELINES)}.")
    if steps < 2:
        raise ExplainError(f"Integrated gradients take two steps or more, not {steps}.")
    stretch = decisive(detector, wave, start_s)
    x = stretch.samples
    spectrum = stft(x[None])
    magnitude = spectrum.abs()
    phase = torch.polar(torch.ones_like(magnitude), spectrum.angle())

    def logits(magnitudes: Tensor) -> Tensor:
        rebuilt = istft(magnitudes * phase, len(x))
        return detector.logits(stretch.fill(rebuilt), levelled=True)

    floor = torch.zeros_like(magnitude)
    if baseline == "noise":
        floor = floor + background(x)[None, :, None]
    values = IntegratedGradients(logits).attribute(
        magnitude, floor, n_steps=steps, internal_batch_size=1
    )  # one step at a time: the memory of one backward pass, however many steps
    with torch.inference_mode():
        full, empty = float(logits(magnitude)), float(logits(floor))
    frames = magnitude.shape[-1]
    centres = torch.arange(frames + 1) * HOP - HOP // 2
    bins = torch.arange(N_FFT // 2 + 2) * RATE / N_FFT - RATE / N_FFT / 2
    values = values[0].double().numpy()
    residual = abs(float(values.sum()) - (full - empty))
    notes = stretch.notes
    if residual > LARGE * abs(full - empty):
        notes += (f"The parts miss the whole by {residual:.2f} of {abs(full - empty):.2f} logits.",)
    return Explanation(
        method="integrated-gradients",
        detector=detector.config.name,
        values=values,
        times=stretch.seconds(centres.clamp(0, len(x)).numpy()),
        freqs=bins.clamp(0, RATE / 2).double().numpy(),
        full=full,
        empty=empty,
        residual=residual,
        forwards=steps + 2,
        notes=notes,
    )
