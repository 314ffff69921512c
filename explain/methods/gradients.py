"""Gradients of the logit by the magnitudes of the spectrogram: saliency and GradientShap.

Like `integrated_gradients` they pass through the spectrum of `spectrogram.spectrum`, so they are
there for every detector whose front-end has a gradient.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from captum.attr import GradientShap, InputXGradient, Saliency

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.masking import noise, stft
from ..coalitions.spectrogram import spectrum
from ..explanation import ExplainError, Explanation
from .seeds import seeded


def saliency(
    detector: Detector,
    wave: Waveform,
    *,
    times_input: bool = True,
    start_s: float | None = None,
) -> Explanation:
    """Gradient of the logit by each magnitude, (257 bins, 8-ms frames), of the analysed segment.

    Signed. One forward and backward pass; empty is the logit of digital silence, and no
    completeness is promised.

    Args:
        times_input: Times the magnitude (Shrikumar et al. 2016, arXiv:1605.01713), in logits; else
            the bare gradient (Simonyan et al. 2014), in logits for each unit of magnitude.
        start_s: See `most_suspicious_segment`.
    """
    sound = spectrum(detector, wave, "zeros", start_s)
    magnitude = sound.magnitude.clone().requires_grad_()  # captum warns where it has to ask for it
    if times_input:
        values = InputXGradient(sound.logits).attribute(magnitude)
    else:
        values = Saliency(sound.logits).attribute(magnitude, abs=False)
    with torch.inference_mode():
        full, empty = float(sound.logits(sound.magnitude)), float(sound.logits(sound.floor))
    return Explanation(
        values=values[0].detach().double().numpy(),
        times=sound.times,
        freqs=sound.freqs,
        full=full,
        empty=empty,
        forwards=3,
        notes=sound.segment.notes,
    )


def gradient_shap(
    detector: Detector,
    wave: Waveform,
    *,
    samples: int = 8,
    seed: int = 0,
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """GradientShap (Lundberg and Lee 2017; Erion et al. 2021, eq. 3): (257 bins, 8-ms frames).

    Each sample draws background noise (`masking.noise`) as baseline and a point on the way from
    its magnitudes to the clip's; values are means over them, with stderr. empty is the mean logit
    of the baselines. The sum nears full - empty as samples rise; residual says how far off it is.

    Args:
        samples: 2 or more.
        start_s: See `most_suspicious_segment`.

    Raises:
        ExplainError: There are too few samples.
    """
    if samples < 2:
        raise ExplainError(f"GradientShap takes two samples or more, not {samples}.")
    sound = spectrum(detector, wave, "noise", start_s)
    draws, empties = [], []
    for n in range(samples):
        floor = stft(noise(sound.segment.samples, seed + n)[None]).abs()
        with seeded(seed + n):  # one at a time: the memory of one backward pass
            one = GradientShap(sound.logits).attribute(sound.magnitude, floor, n_samples=1)
        draws.append(one[0].detach().double().numpy())
        with torch.inference_mode():
            empties.append(float(sound.logits(floor)))
        if progress:
            progress((n + 1) / samples)
    with torch.inference_mode():
        full = float(sound.logits(sound.magnitude))
    values, empty = np.mean(draws, axis=0), float(np.mean(empties))
    return Explanation(
        values=values,
        times=sound.times,
        freqs=sound.freqs,
        full=full,
        empty=empty,
        residual=abs(float(values.sum()) - (full - empty)),
        stderr=np.std(draws, axis=0, ddof=1) / math.sqrt(samples),
        forwards=2 * samples + 1,
        notes=sound.segment.notes,
    )
