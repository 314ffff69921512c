"""What a training run is made of: a recipe for a network or for a fusion, read from YAML."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from detectors.catalog import CATALOG
from detectors.errors import HearsayError

from .augment import Augment, Share

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Part = Annotated[float, Field(ge=0, lt=1)]  # a share that leaves some of the rest
Seconds = Annotated[float, Field(ge=0.1)]
Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class SpecAugment:
    """Masks on spectrograms (Park et al. 2019): how many, and their largest share of the axis."""

    bands: CountOrNone = 2
    band_share: Share = 0.15
    times: CountOrNone = 2
    time_share: Share = 0.1


@dataclass(frozen=True, config=STRICT)
class NetworkRecipe:
    """How one network becomes a detector: what it reads, what it learns from, and for how long.

    Attributes:
        frontend: That of the catalogue for the architecture unless it is named.
        window: Samples that the detector reads at once.
        hop_s: Seconds from one window to the next.
        pairs: Of a bona fide and a spoofed clip, an epoch.
        same_source: Share of the pairs that come from one source.
        copies: Fakers whose copies of train's bona fide clips join in as spoofs; made on first use
            and kept in runs/copies.
        copy_pairs: Share of the pairs that are a recording and a copy of it.
        splices: Share of the drawn copies of which only a segment is put into the recording.
        partial_spoof_weight: Weight of the partial-spoof loss (see `losses`), 0 for none.
        teachers: Detectors to distil into a network on the waveform (see `distillation`).
        cache_variants: Above 0, the front-end runs ahead of training, on each clip as it is and on
            augmented copies, so many together; they are kept in runs/features.
        heads: Above 0, the network stays as it is but for its head: so many are trained, from as
            many seeds, on cached embeddings, and averaged (see `heads`).
        mixup: Above 0, heads learn from mixtures of two clips, whose shares are drawn from a beta
            distribution of this parameter (Zhang et al. 2018).
        init: A detector's weights.safetensors or a state dict to start from.
        pretrained: Start from ImageNet's weights.
        interpolate: Share of the first weights in those that training ends with, which forgets less
            of what they knew (see `initialise.interpolate`).
        credit: Whose weights it started from, for the card.
        ema_decay: Of the moving average of the weights, which is what is evaluated and saved.
        bfloat16: Forward and backward passes in bfloat16 where the processor has it.
    """

    name: Name
    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    frontend: str = ""
    frontend_options: dict[str, Any] = Field(default_factory=dict)
    window: int = 64_600
    hop_s: float = 1.0
    pairs: Count = 1800
    same_source: Share = 0.5
    copies: tuple[str, ...] = ()
    copy_pairs: Share = 0.0
    splices: Share = 0.0
    partial_spoof_weight: Weight = 0.0
    teachers: tuple[str, ...] = ()
    cache_variants: CountOrNone = 0
    heads: CountOrNone = 0
    mixup: Weight = 0.0
    augment: Augment = Augment()
    spec_augment: SpecAugment | None = None
    init: str | None = None
    pretrained: bool = False
    interpolate: Share = 0.0
    credit: str = ""
    seed: CountOrNone = 0
    epochs: Count = 30
    patience: Count = 10
    batch: Count = 32
    crop_s: tuple[Seconds, Seconds] = (2.0, 4.0)
    lr: Rate = 1e-3
    weight_decay: Weight = 1e-2
    warmup: Share = 0.05
    ema_decay: Part = 0.995
    label_smoothing: Part = 0.05
    bfloat16: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every: Count = 50

    def __post_init__(self) -> None:
        entry = CATALOG.get(self.architecture)
        if entry and not self.frontend:
            object.__setattr__(self, "frontend", entry.frontend)
            object.__setattr__(
                self, "frontend_options", {**entry.frontend_options, **self.frontend_options}
            )
        if self.batch > 2 * self.pairs:
            raise ValueError(f"{self.pairs} pairs an epoch do not fill a batch of {self.batch}")
        if self.crop_s[0] > self.crop_s[1]:
            raise ValueError("crop_s is the shortest crop and the longest, in this order")


@dataclass(frozen=True, config=STRICT)
class FusionRecipe:
    """A logistic regression over the logits of `members`, detectors that are trained already."""

    name: Name
    architecture: Literal["fusion"] = "fusion"
    members: tuple[str, ...] = ()
    hop_s: float = 1.0
    credit: str = ""

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError(f"the fusion '{self.name}' needs members, a list of detectors")


Recipe = NetworkRecipe | FusionRecipe


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from YAML; relative paths in it are taken from the current folder.

    Raises:
        HearsayError: Names the offending key.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HearsayError(f"There is no recipe {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HearsayError(f"The recipe {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise HearsayError(f"{path} is not YAML: {error}.") from error
    fusion = isinstance(raw, dict) and raw.get("architecture") == "fusion"
    kind: type[Recipe] = FusionRecipe if fusion else NetworkRecipe
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        raise HearsayError(f"{path}: {_problem(error)}.") from error


def _problem(error: ValidationError) -> str:
    """The first key that is wrong, and why."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        if key == "manifest":
            reason = "the corpus is named on the command line, by --manifest"
        elif key == "members":
            reason = "only a fusion has members"
        elif key in {field.name for field in dataclasses.fields(NetworkRecipe)}:
            reason = "a fusion takes its members as they are"
    return f"{key}: {reason}"
