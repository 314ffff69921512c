"""`python -m training train`: from a config to a calibrated, tracked detector."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from corpora.audio import decode_all
from corpora.copy_synthesis import make_copies
from corpora.manifest import Clip, corpus_hash, originals, read_manifest
from corpora.splits import check_disjoint, fold, links
from detectors.detector import Detector
from detectors.errors import HearsayError
from detectors.files import whole
from evaluation.calibrate import calibrate
from evaluation.tracking import Run

from . import partial_spoof_loss
from .augment import Augment
from .card import card
from .distillation import hints
from .fuse import fuse, source_folds, with_members
from .initialise import start_from_imagenet
from .loop import Material, Trainer, detector_config
from .recipe import TrainConfig

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
    recipes. Raises HearsayError for what cannot be used, and leaves `out` as it
    was.
    """
    fusion = config.architecture == "fusion"
    config, members = with_members(config) if fusion else (config, [])
    check(config)
    learn, held = choose(config, folds)
    parts = source_folds(held) if members else []
    if members:
        learn = []  # they have learned already
    recipe = {
        **dataclasses.asdict(config),
        "fold": f"{folds[0]}/{folds[1]}" if folds else None,
        "corpus_hash": corpus_hash([*learn, *held]),
        "held_hash": corpus_hash(held),
        "clips": len(learn),
        "held": len(held),
    }
    text = json.dumps(recipe, indent=2, sort_keys=True)
    _same_recipe(text, out)
    material = Material(learn, decode_all(learn), held, decode_all(held))
    split = "fold" if folds else "dev"
    trainer = None if members else Trainer(config, material, out / "checkpoint.pt")
    resumed = trainer.extra.get("run_id") if trainer else None
    with Run(config.name, out.name, recipe, resumed) as run:
        out.mkdir(parents=True, exist_ok=True)
        with whole(out / "recipe.json") as scratch:
            scratch.write_text(text)
        if trainer:
            detector, llr = _learn(trainer, run, split)
        else:
            detector, llr = fuse(Detector(detector_config(config)), members, material, parts)
        figures = detector.config.figures[split]
        last = trainer.epoch if trainer else 0
        run.metrics(last, **{f"{split}_{k}": figures[k] for k in ("eer", "auc", "cllr")})
        threshold = detector.config.calibration.threshold
        run.scores(llr, [c.is_spoof for c in held], threshold)
        detector.save(out / "detector", card(detector.config, config, learn, held))
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
    """Refuse a recipe whose detector cannot be built, or with keys that would go without effect.

    Decoding and copies take minutes; this comes first.
    """
    try:
        detector = Detector(detector_config(config))
    except ValueError as error:
        raise HearsayError(f"The detector '{config.name}' cannot be built: {error}") from error
    if config.architecture == "fusion":
        for key in ("copies", "paired", "swaps", "init"):
            if getattr(config, key):
                raise HearsayError(f"{key}: a fusion takes its members as they are.")
    elif config.members:
        raise HearsayError("members: only a fusion has members.")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise HearsayError("device: PyTorch finds no GPU for cuda here; auto takes what is there.")
    if config.cache_variants and detector.frontend.hop == 1:
        raise HearsayError("cache_variants needs a front-end with frames.")
    if detector.net.standardises and not config.cache_variants:
        raise HearsayError(
            f"'{config.architecture}' is trained on cached features: cache_variants."
        )
    wanted = config.augment != Augment() and any(dataclasses.astuple(config.augment))
    if config.cache_variants == 1 and wanted:
        raise HearsayError(
            "augment: with cache_variants: 1 every clip is kept as it is; take more."
        )
    if config.columns and not partial_spoof_loss.takes(detector.net):
        raise HearsayError("columns: only cnn, resnet and prosody judge parts by themselves.")
    masked = config.spec_augment.bands or config.spec_augment.times
    if masked and detector.frontend(torch.zeros(1, config.window)).dim() != 4:
        raise HearsayError(f"spec_augment: the front-end {config.frontend} makes no picture.")
    if config.teachers:
        hints(config, detector.net)
    if config.pretrained:
        start_from_imagenet(detector.net)  # which leaves them in torchvision's cache
    if config.init and not Path(config.init).is_file():
        raise HearsayError(f"There are no weights {config.init} for '{config.name}' to start from.")
    if config.kept and not (config.init or config.pretrained):
        raise HearsayError("kept: there are no first weights to keep; name them with init.")


def choose(
    config: TrainConfig, folds: tuple[int, int] | None
) -> tuple[Sequence[Clip], Sequence[Clip]]:
    """The clips to learn from and those to select on, which share no voice, system or source.

    Raises HearsayError for a manifest without splits, since there would be nothing to select on,
    and where a part lacks a label.
    """
    clips = read_manifest(config.manifest)
    check_disjoint(clips)
    learn = [c for c in clips if c.split == "train"]
    held = [c for c in clips if c.split == "dev"]
    if not learn or not (held or folds):
        raise HearsayError(
            f"{config.manifest} needs clips of the splits train and dev; add a 'split' column."
        )
    if folds:
        learn, held = fold(learn, folds[1], folds[0])
        _refuse_leaks(config, held)
    _both_labels(held, f"The split dev of {config.manifest}")
    taken = set().union(*(links(c) for c in held))
    learn = [*learn, *(c for c in _copies(config, clips) if not links(c) & taken)]
    if not config.members:
        _both_labels(learn, f"The split train of {config.manifest}")
    if (config.paired or config.swaps) and not originals(learn):
        raise HearsayError("paired and swaps need copies of train's clips: name fakers in copies.")
    return learn, held


def _refuse_leaks(config: TrainConfig, held: Sequence[Clip]) -> None:
    """Refuse to judge on a fold what has learned from it already, by way of other detectors."""
    for key in ("members", "teachers"):
        if getattr(config, key):
            raise HearsayError(
                f"{key}: these learned from all of train, so that they know what a fold holds out; "
                "train without --fold."
            )
    if not config.init:
        return
    folder = Path(config.init).parent
    recipe = folder / "recipe.json"
    begun = json.loads(recipe.read_text()) if recipe.is_file() else {}
    unseen = begun.get("held_hash") == corpus_hash(held)
    if (folder / "config.json").is_file() or (recipe.is_file() and not unseen):
        raise HearsayError(
            f"init: {config.init} may have learned from what the fold holds out. Start from the "
            "checkpoint of a run of the same fold, or from published weights."
        )


def _both_labels(clips: Sequence[Clip], what: str) -> None:
    for label in ("bonafide", "spoof"):
        if not any(c.label == label for c in clips):
            raise HearsayError(f"{what} holds no {label} clips; both labels are needed.")


def _copies(config: TrainConfig, clips: Sequence[Clip]) -> Sequence[Clip]:
    """The copies that the recipe asks for, made if they are not there yet."""
    if not config.copies:
        return []
    folder = COPIES / corpus_hash(clips)[:12]
    return read_manifest(make_copies(Path(config.manifest), "train", config.copies, folder))


def _same_recipe(text: str, out: Path) -> None:
    """Refuse to go on with what another recipe, fold or corpus left in a folder."""
    begun = (out / "checkpoint.pt").exists() or (out / "detector").exists()
    recipe = out / "recipe.json"
    if begun and recipe.exists() and recipe.read_text() != text:
        raise HearsayError(
            f"{out} holds a run of another recipe, fold or corpus (see {recipe.name}); choose "
            "another --out or remove it."
        )
