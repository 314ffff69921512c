"""The clips that a recipe learns from, and those that it is selected and calibrated on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpora.audio import MAX_UNREADABLE
from corpora.copy_synthesis import make_copies
from corpora.manifest import Clip, corpus_hash, originals, read_manifest
from corpora.splits import check_disjoint, fold, links, refuse_same_audio
from detectors.errors import HearsayError

from .recipe import FusionRecipe, NetworkRecipe, Recipe

COPIES = Path("runs/copies")
Fold = tuple[int, int]  # number k (from 0) of n


@dataclass(frozen=True)
class Material:
    """Clips and their int16 audio, to learn from and to select on."""

    train: Sequence[Clip]
    train_audio: Sequence[np.ndarray]
    held: Sequence[Clip]
    held_audio: Sequence[np.ndarray]


def choose_clips(
    recipe: Recipe,
    manifest: Path,
    held_fold: Fold | None = None,
    max_unreadable: float = MAX_UNREADABLE,
) -> tuple[list[Clip], list[Clip]]:
    """The clips to learn from (train, and copies of it) and those held out (dev, or a fold of
    train), which share no voice, system or source. A fusion's members have learned already.

    Raises:
        HearsayError: The manifest has no splits, so that there is nothing to select on, or a part
            lacks a label, or the recipe has learned from what the fold holds out.
    """
    clips = read_manifest(manifest)
    check_disjoint(clips)
    refuse_same_audio(clips)
    learn = [c for c in clips if c.split == "train"]
    held = [c for c in clips if c.split == "dev"]
    if not learn or not (held or held_fold):
        raise HearsayError(
            f"{manifest} needs clips of the splits train and dev; add a 'split' column."
        )
    if held_fold:
        k, n = held_fold
        learn, held = fold(learn, n, k)
        _refuse_leaks(recipe, held)
    _both_labels(held, f"The split dev of {manifest}")
    if isinstance(recipe, FusionRecipe):
        return [], held
    learn += _copies(recipe, manifest, clips, held, max_unreadable)
    _both_labels(learn, f"The split train of {manifest}")
    if (recipe.copy_pairs or recipe.splices) and not originals(learn):
        raise HearsayError(
            "copy_pairs and splices need copies of train's clips: name fakers in copies."
        )
    return learn, held


def _copies(
    recipe: NetworkRecipe,
    manifest: Path,
    clips: Sequence[Clip],
    held: Sequence[Clip],
    max_unreadable: float,
) -> list[Clip]:
    """The copies that the recipe asks for, made if they are not there yet, of what is not held."""
    if not recipe.copies:
        return []
    folder = COPIES / corpus_hash(clips)[:12]
    made = make_copies(manifest, "train", recipe.copies, folder, max_unreadable=max_unreadable)
    copies = read_manifest(made)
    taken = set().union(*(links(c) for c in held))
    return [c for c in copies if not links(c) & taken]


def _refuse_leaks(recipe: Recipe, held: Sequence[Clip]) -> None:
    """Refuse to judge on a fold what has learned from it already, by way of other detectors."""
    for key in ("members", "teachers"):
        if getattr(recipe, key, ()):
            raise HearsayError(
                f"{key}: these learned from all of train, so that they know what a fold holds out; "
                "train without --fold."
            )
    if isinstance(recipe, FusionRecipe) or not recipe.init:
        return
    folder = Path(recipe.init).parent
    record = folder / "recipe.json"
    begun = json.loads(record.read_text()) if record.is_file() else {}
    unseen = begun.get("held_hash") == corpus_hash(held)
    if (folder / "config.json").is_file() or (record.is_file() and not unseen):
        raise HearsayError(
            f"init: {recipe.init} may have learned from what the fold holds out. Start from the "
            "checkpoint of a run of the same fold, or from published weights."
        )


def _both_labels(clips: Sequence[Clip], what: str) -> None:
    for label in ("bonafide", "spoof"):
        if not any(c.label == label for c in clips):
            raise HearsayError(f"{what} holds no {label} clips; both labels are needed.")
