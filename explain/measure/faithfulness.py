"""What a map is worth beyond ground truth: is it faithful, stable, and about this model?"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform, bare
from detectors.detector import Detector

from ..audit import mp3
from ..coalitions.masking import baseline, istft, stft, windows
from ..coalitions.segment import Segment, most_suspicious_segment
from ..explanation import Explanation
from .localisation import curve_area, max_sensitivity, rank_correlation, relevance

Attribute = Callable[..., Explanation]

STEPS = 10  # segments, or bands, that deletion and insertion take away in turn
FILLS = ("noise", "zeros")
NOISE_DB = 50.0  # below the clip: inaudible under speech
GAIN_DB = 6.0
BATCH = 4


def check(
    detector: Detector,
    attribute: Attribute,
    wave: Waveform,
    axis: str,
    here: Explanation,
    scrambled: Detector,
    stochastic: bool,
) -> dict[str, Any]:
    """Faithfulness, stability and sanity of one explanation; None where a question has no answer.

    Args:
        axis: "time" or "band", one that the explanation has.
        here: What the method says about the wave.
        scrambled: The detector with shuffled weights, see `scramble`.
        stochastic: Whether the method draws random numbers.

    Returns:
        {deletion, insertion: {fill: area}} and, as rank correlations with `here`, {seed: of another
        seed, mp3: of the clip as MP3, scrambled: of the scrambled detector}, and {noise, gain}: the
        sensitivity to noise that nobody hears and to the level.
    """
    x = wave.samples
    noise = np.random.default_rng(0).standard_normal((2, len(x))).astype(np.float32)
    hidden = noise * float(np.std(x)) * 10 ** (-NOISE_DB / 20)
    quieter = x * np.float32(10 ** (-GAIN_DB / 20))

    def again(samples: np.ndarray) -> np.ndarray:
        return attribute(detector, bare(samples)).values

    stability = {
        "seed": rank_correlation(here.values, attribute(detector, wave, seed=1).values)
        if stochastic
        else 1.0,
        "mp3": rank_correlation(here.values, again(mp3(x))),
        "scrambled": rank_correlation(here.values, attribute(scrambled, wave).values),
        "noise": max_sensitivity(here.values, [again(x + h) for h in hidden]),
        "gain": max_sensitivity(here.values, [again(quieter)]),
    }
    known = {name: None if math.isnan(value) else value for name, value in stability.items()}
    return {**faithfulness(detector, wave, axis, here), **known}


def faithfulness(
    detector: Detector, wave: Waveform, axis: str, explanation: Explanation | None = None
) -> dict[str, dict[str, float]]:
    """Areas under the deletion and insertion curves of the logit, {deletion, insertion: {fill}}.

    Ten equal segments, or bands, are taken away or put back, the most relevant first; without an
    explanation in a random order. What a good map names first lowers the logit at once when it
    goes, and lifts it when it comes: a low deletion area, a high insertion area. Two fills, since
    either may be a cue of its own. Source: Petsiuk et al. 2018, "RISE", section 4.2.
    """
    segment = most_suspicious_segment(detector, wave, 0.0)
    pinned = segment.pin(detector)
    end = len(segment.samples) / RATE if axis == "time" else RATE / 2
    cells = np.random.default_rng(0).standard_normal(STEPS)
    if explanation is not None:
        named = relevance(explanation, axis, np.linspace(0, end, STEPS + 1))
        if named is None:
            raise ValueError(f"An explanation by {explanation.method} has no {axis} axis.")
        cells = named
    rank = np.argsort(np.argsort(-cells, kind="stable"))
    first = torch.from_numpy(rank[None] < np.arange(STEPS + 1)[:, None])  # (k, pieces)
    keep = _keep_time if axis == "time" else _keep_bands
    areas: dict[str, dict[str, float]] = {"deletion": {}, "insertion": {}}
    for fill in FILLS:
        behind = baseline(segment.samples, fill, 0)
        for name, on in (("deletion", ~first), ("insertion", first)):
            masked = keep(segment, behind, on)
            areas[name][fill] = curve_area(_logits(pinned, segment.fill(masked)))
    return areas


def scramble(detector: Detector, seed: int = 0) -> Detector:
    """The detector with every weight tensor shuffled: same scales, nothing learnt.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", independent randomisation of
    all layers; a map that stays the same was never about the model.
    """
    return _shuffled(detector, torch.Generator().manual_seed(seed))


def _shuffled(detector: Detector, chance: torch.Generator) -> Detector:
    net = copy.deepcopy(detector.net)
    with torch.no_grad():
        for weight in net.parameters():
            order = torch.randperm(weight.numel(), generator=chance)
            weight.copy_(weight.flatten()[order].view_as(weight))
    members = [_shuffled(member, chance) for member in detector.members]
    return Detector(detector.config, net, members=members)


def _keep_time(segment: Segment, behind: Tensor, on: Tensor) -> Tensor:
    return windows(len(segment.samples), STEPS).mask(segment.samples, behind, on)


def _keep_bands(segment: Segment, behind: Tensor, on: Tensor) -> Tensor:
    spectrum, floor = stft(segment.samples[None]), stft(behind[None])
    bins = spectrum.shape[1]
    here = on[:, torch.arange(bins) * STEPS // bins][..., None]
    return istft(torch.where(here, spectrum, floor), len(segment.samples))


def _logits(detector: Detector, x: Tensor) -> np.ndarray:
    with torch.inference_mode():
        parts = [detector.logits(part, levelled=True) for part in x.split(BATCH)]
    return torch.cat(parts).double().numpy()
