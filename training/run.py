"""`python -m training train`: from a config to a calibrated, tracked detector."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detectors.detector import Detector

from . import columns
from .calibrate import calibrate
from .card import card
from .config import ConfigError, TrainConfig
from .copies import make_copies
from .data import decode_all
from .fuse import fuse, with_members
from .hints import hints
from .loop import Material, Trainer, detector_config
from .manifest import Clip, corpus_hash, read_manifest
from .splits import check_disjoint, fold, links
from .start import start_from_imagenet
from .tracking import Run

COPIES = Path("runs/copies")


@dataclass(frozen=True)
class Outcome:
    """Where a finished run left its detector, and the run's id in MLflow."""

    folder: Path
    run_id: str
    detector: Detector


def train(config: TrainConfig, out: Path, folds: tuple[int, int] | None = None) -> Outcome:
    """Train, calibrate and save a detector in `out`; goes on where a killed run stopped.

    folds: (k, n) holds out fold k of n inside train and judges on it instead of dev, to rank
    recipes. Raises ConfigError, ManifestError or SplitError before anything is written.
    """
    fusion = config.architecture == "fusion"
    config, members = with_members(config) if fusion else (config, [])
    check(config)
    learn, held = choose(config, folds)
    out.mkdir(parents=True, exist_ok=True)
    _same_recipe(config, out / "recipe.json")
    if members:
        learn = []  # they have learned already
    material = Material(learn, decode_all(learn), held, decode_all(held))
    params = {**dataclasses.asdict(config), "fold": f"{folds[0]}/{folds[1]}" if folds else "dev"}
    corpus = {"corpus_hash": corpus_hash([*learn, *held]), "clips": len(learn), "held": len(held)}
    split = "fold" if folds else "dev"
    trainer = None if members else Trainer(config, material, out / "checkpoint.pt")
    resumed = trainer.extra.get("run_id") if trainer else None
    with Run(config.name, out.name, {**params, **corpus}, resumed) as run:
        if trainer:
            detector, llr = _learn(trainer, run, split)
        else:
            detector, llr = fuse(Detector(detector_config(config)), members, material, split)
        figures = detector.config.figures[split]
        last = trainer.epoch if trainer else 0
        run.metrics(last, **{f"{split}_{k}": figures[k] for k in ("eer", "auc", "cllr")})
        threshold = detector.config.calibration.threshold
        run.scores(llr, [c.is_spoof for c in held], threshold)
        detector.save(out / "detector", card(detector.config, config, corpus))
        run.folder(out / "detector", "detector")
    return Outcome(out / "detector", run.run_id, detector)


def _learn(trainer: Trainer, run: Run, split: str) -> tuple[Detector, np.ndarray]:
    """Train to the end, reporting each epoch; the calibrated detector and its LLRs."""
    trainer.extra["run_id"] = run.run_id

    def report(epoch: int, values: dict[str, float]) -> None:
        run.metrics(epoch, **values)
        said = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        tqdm.write(f"epoch {epoch + 1}: {said}")

    material = trainer.material
    return calibrate(trainer.run(report), material.held, material.held_audio, split)


def check(config: TrainConfig) -> None:
    """Refuse a recipe whose detector cannot be built: decoding and copies take minutes."""
    try:
        detector = Detector(detector_config(config))
    except ValueError as error:
        raise ConfigError(f"The detector '{config.name}' cannot be built: {error}") from error
    if config.cache_variants and not hasattr(detector.frontend, "hop"):
        raise ConfigError("cache_variants needs a front-end with frames.")
    if hasattr(detector.net, "standardise_on") and not config.cache_variants:
        raise ConfigError(f"'{config.architecture}' is trained on cached features: cache_variants.")
    if config.columns and not isinstance(detector.net, columns.TAKEN_BY):
        raise ConfigError("columns: only cnn, resnet and prosody judge parts by themselves.")
    if config.teachers:
        hints(config, detector.net)
    if config.pretrained:
        start_from_imagenet(detector.net)  # which leaves them in torchvision's cache
    if config.init and not Path(config.init).is_file():
        raise ConfigError(f"There are no weights {config.init} for '{config.name}' to start from.")
    if config.kept and not (config.init or config.pretrained):
        raise ConfigError("kept: there are no first weights to keep; name them with init.")


def choose(
    config: TrainConfig, folds: tuple[int, int] | None
) -> tuple[Sequence[Clip], Sequence[Clip]]:
    """The clips to learn from and those to select on, which share no voice, system or source.

    A manifest without splits is refused: there would be nothing to select on.
    """
    clips = read_manifest(config.manifest)
    check_disjoint(clips)
    learn = [c for c in clips if c.split == "train"]
    held = [c for c in clips if c.split == "dev"]
    if not learn or not (held or folds):
        raise ConfigError(
            f"{config.manifest} needs clips of the splits train and dev; add a 'split' column."
        )
    if folds:
        learn, held = fold(learn, folds[1], folds[0], config.seed)
    taken = set().union(*(links(c) for c in held))
    return [*learn, *(c for c in _copies(config, clips) if not links(c) & taken)], held


def _copies(config: TrainConfig, clips: Sequence[Clip]) -> Sequence[Clip]:
    """The copies that the recipe asks for, made if they are not there yet."""
    if not config.copies:
        return []
    folder = COPIES / corpus_hash(clips)[:12]
    return read_manifest(make_copies(Path(config.manifest), "train", config.copies, folder))


def _same_recipe(config: TrainConfig, path: Path) -> None:
    """Refuse to go on in a folder that another recipe began."""
    text = json.dumps(dataclasses.asdict(config), indent=2, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise ConfigError(
            f"{path.parent} holds a run of another recipe (see {path.name}); choose another --out "
            "or remove it."
        )
    path.write_text(text)
