"""Integrated gradients (Sundararajan et al. 2017, eq. 1) on the magnitudes of the spectrogram.

Valid for every detector, also those that read the waveform: the clip is rebuilt from magnitudes
and its own phase inside the differentiated function, so gradients reach time-frequency cells.
"""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from detectors.audio import Waveform
from detectors.detector import Detector

from ..coalitions.game import Progress
from ..coalitions.spectrogram import spectrum
from ..explanation import ExplainError, Explanation

LARGE = 0.1  # share of the gain that may go missing without a word


def attribute(
    detector: Detector,
    wave: Waveform,
    *,
    steps: int = 16,
    baseline: str = "noise",
    start_s: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Attributions (f, t) of STFT magnitudes (257 bins, 8-ms frames) in the analysed segment.

    The path runs from the baseline's magnitudes to the clip's, with the phase of the clip kept;
    residual is the distance from completeness, which falls as steps rise while the network is
    smooth; a note says when it is large.

    Args:
        steps: Gauss-Legendre nodes of the integral, 2 or more.
        baseline: "noise" is the clip's background spectrum (`masking.background`), the same floor
            that replaces switched-off windows; "zeros" is digital silence, where a logarithm's
            gradient is steep and more steps are needed.
        start_s: See `most_suspicious_segment`.

    Raises:
        ExplainError: An option has a value that it does not take.
    """
    if steps < 2:
        raise ExplainError(f"Integrated gradients take two steps or more, not {steps}.")
    sound = spectrum(detector, wave, baseline, start_s)
    done = 0

    def logits(magnitudes: Tensor) -> Tensor:
        nonlocal done
        done += len(magnitudes)
        if progress:
            progress(min(done / steps, 1.0))
        return sound.logits(magnitudes)

    # one step at a time: the memory of one backward pass, however many steps
    values = (
        IntegratedGradients(logits)
        .attribute(sound.magnitude, sound.floor, n_steps=steps, internal_batch_size=1)[0]
        .double()
        .numpy()
    )
    with torch.inference_mode():
        full, empty = float(sound.logits(sound.magnitude)), float(sound.logits(sound.floor))
    residual = abs(float(values.sum()) - (full - empty))
    notes = sound.segment.notes
    if residual > LARGE * abs(full - empty):
        notes += (f"The parts miss the whole by {residual:.2f} of {abs(full - empty):.2f} logits.",)
    return Explanation(
        values=values,
        times=sound.times,
        freqs=sound.freqs,
        full=full,
        empty=empty,
        residual=residual,
        forwards=steps + 2,
        notes=notes,
    )
