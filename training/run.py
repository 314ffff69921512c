"""`python -m training train`: from a recipe to a calibrated, tracked detector."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, decode_all
from corpora.manifest import corpus_hash
from detectors.detector import Detector
from detectors.errors import HearsayError
from detectors.files import remove_scratch, write
from evaluation.calibrate import calibrate
from evaluation.conditions import degraded
from evaluation.tracking import Run

from .card import card
from .check import check
from .clips import Fold, Material, choose_clips
from .fuse import fuse, open_members, source_folds
from .heads import fit_heads
from .loop import Trainer
from .recipe import FusionRecipe, Recipe

Fit = Callable[[Run], tuple[Detector, np.ndarray]]  # a calibrated detector and its LLRs


@dataclass(frozen=True)
class Outcome:
    """Where a finished run left its detector, and the run's id in MLflow."""

    folder: Path
    run_id: str
    detector: Detector


def train(
    recipe: Recipe,
    manifest: Path,
    out: Path,
    fold: Fold | None = None,
    data: str = "",
    licence: str = "",
    max_unreadable: float = MAX_UNREADABLE,
) -> Outcome:
    """Train, calibrate and save a detector in `out`; goes on where a killed run stopped.

    Args:
        recipe: Of a network or a fusion.
        manifest: The corpus, with the splits train and dev.
        out: The run's folder.
        fold: (k, n) holds out fold k of n inside train and judges on it instead of dev, to rank
            recipes.
        data: A sentence on the corpus for the card, which else says the manifest's name.
        licence: Of the weights, for the card.
        max_unreadable: Share of the clips that may be left out since they cannot be read.

    Raises:
        HearsayError: Something cannot be used; `out` is left as it was.
    """
    check(recipe)
    learn, held = choose_clips(recipe, manifest, fold, max_unreadable)
    record = {
        **dataclasses.asdict(recipe),
        "fold": f"{fold[0]}/{fold[1]}" if fold else None,
        "corpus_hash": corpus_hash([*learn, *held]),
        "held_hash": corpus_hash(held),
        "clips": len(learn),
        "held": len(held),
    }
    text = json.dumps(record, indent=2, sort_keys=True)
    _refuse_another_run(text, out)
    learn, learn_audio = decode_all(learn, max_unreadable)
    held, held_audio = decode_all(held, max_unreadable)
    material = Material(learn, learn_audio, held, held_audio)
    split = "fold" if fold else "dev"
    remove_scratch(out)
    fit, resumed = _prepare(recipe, material, out / "checkpoint.pt", split)
    begun = out / "run_id"  # of a run that has not come to its end
    if begun.exists():
        resumed = resumed or begun.read_text().strip()
    with Run(recipe.name, out.name, record, resumed) as run:
        out.mkdir(parents=True, exist_ok=True)
        write(begun, run.run_id)
        write(out / "recipe.json", text)
        detector, llr = fit(run)
        config = detector.config
        figures = {f"{split}_{key}": config.figures[split][key] for key in ("eer", "auc", "cllr")}
        run.metrics(0, **figures)
        run.scores(llr, [c.is_spoof for c in held], config.calibration.threshold)
        data = data or f"The manifest {manifest.name}."
        detector.save(out / "detector", card(config, recipe, learn, held, data, licence))
        run.folder(out / "detector", "detector")
        begun.unlink()
    return Outcome(out / "detector", run.run_id, detector)


def _prepare(
    recipe: Recipe, material: Material, checkpoint: Path, split: str
) -> tuple[Fit, str | None]:
    """What remains to be done in an MLflow run, and the id of the run that it goes on with."""
    if isinstance(recipe, FusionRecipe):
        members, folds = open_members(recipe), source_folds(material.held)
        return lambda run: fuse(recipe, members, material, folds), None
    trainer = None if recipe.heads else Trainer(recipe, material, checkpoint)

    def fit(run: Run) -> tuple[Detector, np.ndarray]:
        def report(epoch: int, values: dict[str, float]) -> None:
            run.metrics(epoch, **values)
            line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            tqdm.write(f"epoch {epoch + 1}: {line}")

        if trainer is None:
            detector = fit_heads(recipe, material, report)
        else:
            trainer.run_id = run.run_id
            detector = trainer.run(report)
        held, audio = material.held, material.held_audio
        return calibrate(detector, held, audio, split, degraded(held, audio))

    return fit, trainer.run_id if trainer else None


def _refuse_another_run(record: str, out: Path) -> None:
    """Refuse to go on with what another recipe, fold or corpus left in a folder."""
    begun = (out / "checkpoint.pt").exists() or (out / "detector").exists()
    there = out / "recipe.json"
    if begun and there.exists() and there.read_text() != record:
        raise HearsayError(
            f"{out} holds a run of another recipe, fold or corpus (see {there.name}); choose "
            "another --out or remove it."
        )
