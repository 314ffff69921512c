"""Planted evidence: detectors whose logit is known to depend on given seconds and bands.

    plant = Plant(0.25, 0.375, 2000, 3000)
    planted(Additive([plant]))          # a Detector; only that cell of the clip moves its logit

What an exact method must say about them can be worked out on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from detectors.audio import RATE, Waveform, bare
from detectors.config import Config
from detectors.detector import Detector
from detectors.models.network import Network

from ..explanation import Explanation
from .localisation import pointing, relevance

SECONDS = 4.0  # of a planted clip, unless a test is in a hurry
CELLS = 64  # of time and of frequency
CLEAR = RATE // 100  # samples between a plant and its window's edges: out of the ramps' reach
LOUD, QUIET = 0.1, 0.003
SCALE = 1e4  # of a plant's power, before the logarithm


@dataclass(frozen=True)
class Plant:
    """A segment and a band that a detector listens to, and how much it makes of them."""

    start_s: float
    end_s: float
    low_hz: float
    high_hz: float
    weight: float = 1.0


class Additive(Network):
    """Logit = sum of weight * log(1 + power in the plant's band and seconds) over the plants.

    Plants in different windows add up, so the Shapley value of a window is what the logit gains
    from the clip in it instead of the baseline, whatever the other windows hold.
    """

    whole_windows = True  # a second is known by its place

    def __init__(self, plants: Sequence[Plant]) -> None:
        super().__init__()
        self.plants = tuple(plants)
        self.weight = nn.Parameter(torch.tensor([plant.weight for plant in plants]))

    def forward(self, x: Tensor) -> Tensor:
        return self.evidence(x).sum(dim=1)

    def evidence(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, plants), what each plant contributes."""
        power = torch.stack([_power(x, plant) for plant in self.plants], dim=1)
        return torch.log1p(SCALE * power) * self.weight

    def shapley(self, x: Tensor, behind: Tensor) -> np.ndarray:
        """Shapley value of each plant's window, (plants,): e_k(x) - e_k(baseline)."""
        present, absent = (self.evidence(y[None])[0].double() for y in (x, behind))
        return (present - absent).detach().numpy()


class Interacting(Additive):
    """Logit = product of two plants' evidence: neither counts without the other."""

    def forward(self, x: Tensor) -> Tensor:
        return self.evidence(x).prod(dim=1)

    def shapley(self, x: Tensor, behind: Tensor) -> np.ndarray:
        """(2,): the gain of one plant times the mean of the other's evidence, present and absent.

        With a, b present and a0, b0 absent, the first is worth (a - a0) * (b + b0) / 2.
        """
        present, absent = (self.evidence(y[None])[0].double() for y in (x, behind))
        gain, mean = present - absent, (present + absent) / 2
        return (gain * mean.flip(0)).detach().numpy()


def planted(net: Additive, seconds: float = SECONDS) -> Detector:
    """The net as a detector that reads so many seconds at a time, at the clip's own level."""
    config = Config(
        "planted", "planted", frontend="raw", window=round(seconds * RATE), level_normalise=False
    )
    return Detector(config, net)


def draw(seed: int, parts: int = 8, seconds: float = SECONDS) -> tuple[Plant, Waveform]:
    """A plant in one of so many equal windows and bands, and a clip that is loud there.

    The clip is noise, nearly silent in a quarter of the other windows, so that a method must find
    what the detector listens to, not what stands out.
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    window, band = (int(k) for k in rng.integers(0, parts, 2))
    quiet = rng.choice(np.delete(np.arange(parts), window), parts // 4, replace=False)
    level = np.where(np.isin(np.arange(n) * parts // n, quiet), QUIET, LOUD)
    clip = (level * rng.standard_normal(n)).astype(np.float32).clip(-1, 1)
    start, end = window * n // parts + CLEAR, (window + 1) * n // parts - CLEAR
    width = RATE / 2 / parts
    plant = Plant(start / RATE, end / RATE, band * width, (band + 1) * width)
    return plant, bare(clip)


def found(
    attribute: Callable[[Detector, Waveform], Explanation],
    draws: int,
    parts: int = 8,
    seconds: float = SECONDS,
) -> dict[str, float | None]:
    """How often a method points at the planted segment and band, and its worst residual.

    Returns:
        {time, band, residual}: shares of the draws, by the pointing game on equal cells (a map of
        coarser parts gets its share); None for an axis or a promise that the method does not have.
    """
    hits: dict[str, list[float]] = {"time": [], "band": []}
    residuals = []
    for seed in range(draws):
        plant, wave = draw(seed, parts, seconds)
        explanation = attribute(planted(Additive([plant]), seconds), wave)
        residuals.append(explanation.residual)
        for axis, low, end in (
            ("time", plant.start_s, seconds), ("band", plant.low_hz, RATE / 2),
        ):  # fmt: skip
            cells = relevance(explanation, axis, np.linspace(0, end, CELLS + 1))
            if cells is not None:
                part = round((low - low % (end / parts)) / end * parts)
                hits[axis].append(pointing(cells, np.arange(CELLS) * parts // CELLS == part))
    worst = float(np.max(residuals))
    shares = {axis: float(np.mean(own)) if own else None for axis, own in hits.items()}
    return {**shares, "residual": worst if np.isfinite(worst) else None}


def _power(x: Tensor, plant: Plant) -> Tensor:
    """Mean power of (b, n) within the plant, (b,)."""
    segment = x[:, round(plant.start_s * RATE) : round(plant.end_s * RATE)]
    taper = torch.hann_window(segment.shape[1])  # keeps neighbouring bands out
    spectrum = torch.fft.rfft(segment * taper)
    hz = torch.fft.rfftfreq(segment.shape[1], 1 / RATE)
    band = (hz >= plant.low_hz) & (hz < plant.high_hz)
    return spectrum[:, band].abs().square().sum(dim=1) / (segment.shape[1] * taper.square().sum())
