"""What a detector folder's JSON holds: everything but the weights, every key checked."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import field
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from .audio import RATE
from .errors import HearsayError

Verdict = Literal["fake", "real", "inconclusive"]
SHORTEST_HOP_S = 0.01
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
POOLINGS = {
    "mean": lambda logits: float(np.mean(logits)),
    "max": lambda logits: float(np.max(logits)),
    "top3": lambda logits: float(np.mean(np.sort(logits)[-3:])),
}


@dataclass(frozen=True, config=STRICT)
class Calibration:
    """Pooled logit -> LLR (scale, offset), and what dev says about LLRs.

    threshold: LLR at dev's equal error rate. abstain: the band called "inconclusive".
    """

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.0
    abstain: tuple[float, float] = (0.0, 0.0)

    def verdict(self, llr: float, prior: float = 0.5) -> Verdict:
        """ "fake", "real" or "inconclusive" for a clip's LLR.

        Threshold and band were chosen on dev at even odds. Another prior (0..1, exclusive) shifts
        the evidence by its log odds, so that verdict and P(fake) always move together.
        """
        evidence = llr + math.log(prior / (1 - prior))
        low, high = self.abstain
        if low < evidence < high:
            return "inconclusive"
        return "fake" if evidence > self.threshold else "real"


@dataclass(frozen=True, config=STRICT)
class Config:
    """Everything but the weights; `config.json` holds it, and unknown keys are refused.

    window: samples that the network reads at once, half a second to a minute. pooling: clip logit
    from window logits, "mean", "max" or "top3" (mean of the three highest). figures: measured error
    rates by split.
    """

    name: str
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    frontend: str = "log-mel"
    frontend_options: dict[str, Any] = field(default_factory=dict)
    window: int = 64_600
    hop_s: float = 1.0
    level_normalise: bool = True
    pooling: str = "mean"
    calibration: Calibration = Calibration()
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not '{self.pooling}'.")
        if not RATE // 2 <= self.window <= 60 * RATE or self.hop_s < SHORTEST_HOP_S:
            raise ValueError(
                "window is half a second to a minute of samples, and hop_s at least "
                f"{SHORTEST_HOP_S} seconds."
            )

    def eer(self, split: str) -> float | None:
        """Equal error rate measured on "dev" or "test", 0..1, None where none was."""
        eer = self.figures.get(split, {}).get("eer")
        return None if eer is None else float(eer)

    @property
    def rank(self) -> tuple[float, float, str]:
        """Sorts detectors by Cllr on dev, then EER and name: best first, unmeasured ones last.

        Cllr judges the probability that is shown, and all of the curve: on a few hundred clips it
        is steadier than one point of it.
        """
        dev = self.figures.get("dev", {})
        cllr, eer = (math.inf if dev.get(k) is None else float(dev[k]) for k in ("cllr", "eer"))
        return (cllr, eer, self.name)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> Config:
        """Read `to_json`'s text; HearsayError names a key that is missing, unknown or wrong."""
        try:
            return TypeAdapter(Config).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = "".join(f"{part}: " for part in first["loc"])
            raise HearsayError(f"This is no detector config: {key}{first['msg']}.") from error
