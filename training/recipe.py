"""What a training run is made of: a dataclass, read from YAML, its keys and values checked."""

from __future__ import annotations

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


@dataclass(frozen=True, config=STRICT)
class SpecAugment:
    """Masks on the picture (Park et al. 2019): how many, and their largest share of the axis."""

    bands: CountOrNone = 2
    band_share: Share = 0.15
    times: CountOrNone = 2
    time_share: Share = 0.1


@dataclass(frozen=True, config=STRICT)
class TrainConfig:
    """One detector's recipe. Lengths in seconds, `pairs` of bona fide and spoof an epoch.

    frontend: that of the catalogue for the architecture unless it is named. window, hop_s: samples
    that the detector reads at once, and seconds from one window to the next. copies: fakers whose
    copies of train's bona fide clips join in as spoofs; made on first use and kept in runs/copies.
    paired: share of the pairs that are a recording and a copy of it. swaps: share of the drawn
    copies of which only a stretch is put into the recording. columns: weight of a second loss, for
    networks that judge moments by themselves, against the seconds that are synthetic.
    cache_variants: above 0, the front-end runs on whole clips ahead of training, on each as it is
    and on augmented copies, so many together; they are kept in runs/features, and batches are crops
    of them. members: the detectors that a fusion weighs. teachers: detectors that a network on the
    waveform takes hints from. init: a detector's weights.safetensors or a state dict to start from;
    pretrained: start from ImageNet's weights. kept: share of them in the weights that training ends
    with, which forgets less of what they knew. data, licence, credit: what the card says of the
    corpus, of the weights, and of those that they started from (a fusion adds its members'). ema:
    decay of the averaged weights, which are what is evaluated and saved. half: bfloat16 forward and
    backward where the processor has it (weights stay float32).
    """

    name: Annotated[str, Field(min_length=1)]
    architecture: str
    manifest: str
    options: dict[str, Any] = Field(default_factory=dict)
    frontend: str = ""
    frontend_options: dict[str, Any] = Field(default_factory=dict)
    window: int = 64_600
    hop_s: float = 1.0
    copies: tuple[str, ...] = ()
    paired: Share = 0.0
    swaps: Share = 0.0
    columns: Weight = 0.0
    cache_variants: CountOrNone = 0
    members: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    init: str | None = None
    pretrained: bool = False
    data: str = ""
    licence: str = ""
    credit: str = ""
    kept: Share = 0.0
    seed: CountOrNone = 0
    epochs: Count = 30
    patience: Count = 10
    pairs: Count = 1800
    same_source: Share = 0.5
    batch: Count = 32
    crop_s: tuple[Seconds, Seconds] = (2.0, 4.0)
    lr: Rate = 1e-3
    weight_decay: Weight = 1e-2
    warmup: Share = 0.05
    ema: Part = 0.995
    smoothing: Part = 0.05
    half: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every: Count = 50
    augment: Augment = Augment()
    spec_augment: SpecAugment = SpecAugment(0, 0, 0, 0)

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


def read_config(path: str | Path) -> TrainConfig:
    """Read a YAML config; relative paths in it are taken from the current folder.

    Raises HearsayError naming the offending key.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return TypeAdapter(TrainConfig).validate_python(raw)
    except FileNotFoundError:
        raise HearsayError(f"There is no config {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HearsayError(f"The config {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise HearsayError(f"{path} is not YAML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        said = first["msg"].removeprefix("Value error, ")
        raise HearsayError(f"{path}: {key}: {said}.") from error
