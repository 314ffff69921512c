"""What a detector folder's JSON holds: everything but the weights, every key checked.

A config comes from whoever trained or registered the detector, so each value has a type with bounds
(`Llr`, `Share`, `Hop`, ...): what lies outside of them would break every analysis, not just one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from .audio import RATE
from .errors import HearsayError, invalid

Side = Literal["fake", "real"]
Verdict = Literal["fake", "real", "inconclusive", "mixed"]
LARGEST_BYTES = 1 << 20  # of a config.json; those of the bundled detectors have 2 kB
USUAL_SPEECH_S = 4.0  # of the clips that scale and offset are fitted on
LARGEST_OPTION = 1_000_000  # channels, samples, ...: memory is asked for before weights are seen
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
POOLINGS = {
    "mean": lambda logits, votes: float(np.average(logits, weights=votes)),
    "max": lambda logits, votes: float(np.max(logits[votes > 0])),
    "top3": lambda logits, votes: float(np.mean(np.sort(logits[votes > 0])[-3:])),
}


def _in_order(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError("the lower bound lies above the upper one")
    return band


def _buildable(options: dict[str, Any]) -> dict[str, Any]:
    """Options whose numbers are small enough to build a network of."""
    inside: list[Any] = [options]
    while inside:
        value = inside.pop()
        if isinstance(value, int | float) and not abs(value) <= LARGEST_OPTION:
            raise ValueError(f"{value} is out of bounds")
        if isinstance(value, dict | list | tuple):
            inside += value.values() if isinstance(value, dict) else value
    return options


Name = Annotated[str, Field(max_length=200)]
Llr = Annotated[float, Field(ge=-1000, le=1000)]  # natural log
Scale = Annotated[float, Field(gt=0, le=1e9)]  # hardly trained networks differ by so little
Offset = Annotated[float, Field(ge=-1e9, le=1e9)]
Bound = Annotated[float, Field(ge=-20, le=20)]  # an LLR that is beyond doubt
Band = Annotated[tuple[Bound, Bound], AfterValidator(_in_order)]
Share = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(gt=0, le=100)]
Nats = Annotated[float, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Cost = Annotated[float, Field(ge=0, le=1e6)]
Window = Annotated[int, Field(ge=RATE // 2, le=60 * RATE)]  # samples
Hop = Annotated[float, Field(ge=0.1, le=60)]  # seconds
Options = Annotated[dict[str, Any], AfterValidator(_buildable)]


class Change(TypedDict):
    """How far a harmless change of the sound moves LLRs: |change|, with its median's interval."""

    median: Nats
    ci: tuple[Nats, Nats]
    p90: Nats
    clips: Count


class Measured(TypedDict, total=False):
    """The error rates of a split that are read again; others may stand beside them."""

    __pydantic_config__ = ConfigDict(extra="allow", allow_inf_nan=False)  # type: ignore[misc]
    eer: Share | None
    eer_ci: tuple[Share, Share] | None
    same_source_eer: Share | None
    same_source_eer_ci: tuple[Share, Share] | None
    auc: Share | None
    cllr: Cost | None
    clips: Count
    by_family: dict[str, Share | None]
    verdicts: dict[str, dict[str, Count]]
    members: dict[str, dict[str, float]]
    robustness: dict[str, Change]


Figures = Annotated[dict[str, Any], GetPydanticSchema(lambda _, handler: handler(Measured))]


def pool(rule: str, logits: np.ndarray, speech_s: np.ndarray) -> float:
    """A clip's logit from those of its windows.

    Args:
        rule: One of `POOLINGS`; top3 is the mean of the three highest.
        logits: (windows,).
        speech_s: (windows,) seconds of speech in each, its vote; where none holds any, all vote.
    """
    return POOLINGS[rule](logits, speech_s if speech_s.any() else np.ones(len(logits)))


@dataclass(frozen=True, config=STRICT)
class StretchRule:
    """What dev's long recordings say about windows of one voice in one channel; see stretches.py.

    spread: standard deviation of their LLRs. penalty: evidence in nats that chance alone exceeds
    in few recordings, of whatever length.
    """

    spread: Spread
    penalty: Nats


@dataclass(frozen=True, config=STRICT)
class Calibration:
    """Pooled logit -> LLR (scale, offset), and what dev says about LLRs.

    threshold: LLR at dev's equal error rate. abstain: the band called "inconclusive". correlation:
    of the evidence in two windows of one recording; 1 makes more speech no firmer. stretches: when
    a part contradicts the rest; without it nothing is said of parts.
    """

    scale: Scale = 1.0
    offset: Offset = 0.0
    threshold: Llr = 0.0
    abstain: Band = (0.0, 0.0)
    correlation: Share = 1.0
    stretches: StretchRule | None = None

    def llr(self, logit: float, speech_s: float = USUAL_SPEECH_S) -> float:
        """LLR of a logit that stands on so many seconds of speech."""
        return (self.scale * logit + self.offset) * self.firmness(speech_s)

    def firmness(self, speech_s: float) -> float:
        """What the evidence of so much speech is worth, beside that of `USUAL_SPEECH_S`.

        n equally correlated pieces are worth n / (1 + (n - 1) correlation) independent ones.

        Source: Kish 1965, "Survey sampling", the design effect of clusters.
        """
        pieces = speech_s / USUAL_SPEECH_S
        return pieces / (1 + (pieces - 1) * self.correlation) if pieces > 0 else 0.0

    def verdict(self, llr: float, prior: float = 0.5) -> Verdict:
        """ "fake", "real" or "inconclusive" for a clip's LLR.

        Threshold and band were chosen on dev at even odds. Another prior (0..1, exclusive) shifts
        the evidence by its log odds, so that verdict and P(fake) always move together.
        """
        low, high = self.abstain
        if low < llr + math.log(prior / (1 - prior)) < high:
            return "inconclusive"
        return self.side(llr, prior)

    def side(self, llr: float, prior: float = 0.5) -> Side:
        """On which side of the threshold an LLR lies, however near."""
        return "fake" if llr + math.log(prior / (1 - prior)) > self.threshold else "real"

    def settings(self) -> dict[str, Any]:
        """What it says as JSON values; what is left at a default that says nothing is left out."""
        values = dataclasses.asdict(self)
        return {
            name: value
            for name, value in values.items()
            if name not in ("correlation", "stretches") or value != getattr(Calibration, name)
        }


@dataclass(frozen=True, config=STRICT)
class Config:
    """Everything but the weights; `config.json` holds it, and unknown keys are refused.

    window: samples that the network reads at once, half a second to a minute. pooling: clip logit
    from window logits, "mean", "max" or "top3" (mean of the three highest). figures: measured error
    rates by split.
    """

    name: Name
    architecture: Name
    options: Options = field(default_factory=dict)
    frontend: Name = "log-mel"
    frontend_options: dict[str, Any] = field(default_factory=dict)
    window: Window = 64_600
    hop_s: Hop = 1.0
    level_normalise: bool = True
    pooling: str = "mean"
    calibration: Calibration = Calibration()
    figures: dict[str, Figures] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not '{self.pooling}'.")

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
    def read(path: Path) -> Config:
        """Read a config.json.

        Raises:
            HearsayError: It is too large to be one, or as `from_json` says.
            OSError: It cannot be read.
        """
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise HearsayError("This is no detector config: it is larger than 1 MB.")
        return Config.from_json(text)

    @staticmethod
    def from_json(text: str | bytes) -> Config:
        """Read `to_json`'s text; HearsayError names a key that is missing, unknown or wrong."""
        try:
            return TypeAdapter(Config).validate_json(text)
        except ValidationError as error:
            raise HearsayError(f"This is no detector config: {invalid(error)}.") from error
