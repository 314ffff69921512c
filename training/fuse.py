"""Fit a fusion: logistic regression on dev over the logits of detectors that are trained already.

Dev chooses the weights and also says how good they are, so its figures and the calibration come
from scores that were cross-fitted over sources: no clip is scored by weights that saw its source.
Each clip is there as it is and as people send recordings (`evaluation.conditions.degraded`).
Where dev has too few sources for that, they are cross-fitted over speakers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from corpora.manifest import Clip
from detectors import Config, Detector, load
from detectors.config import pool
from detectors.errors import HearsayError
from detectors.models.fusion import Fusion
from evaluation.calibrate import clip_windows, settle
from evaluation.conditions import degraded
from evaluation.metrics import eer

from .clips import Material
from .recipe import FusionRecipe

Fold = tuple[np.ndarray, np.ndarray]  # indices to learn from and to judge

FOLDS = 10
# Strong: on a few hundred clips nearly equal weights beat free ones.
REGULARISATION = 0.02


def open_members(recipe: FusionRecipe) -> list[Detector]:
    """The detectors that a fusion weighs.

    Raises:
        HearsayError: One cannot be opened, two have one name, or they read windows of different
            lengths or levels.
    """
    members = [load(name) for name in recipe.members]
    lengths = {member.config.window for member in members}
    if len(lengths) > 1:
        raise HearsayError(
            "Detectors that are fused read windows of one length; these read "
            f"{', '.join(map(str, sorted(lengths)))} samples."
        )
    if len({member.config.level_normalise for member in members}) > 1:
        raise HearsayError(
            "Detectors that are fused read sound at one level; some of these normalise it, and "
            "others do not."
        )
    names = [member.config.name for member in members]
    if len({*names}) < len(names):
        raise HearsayError(f"Of the fusion's members {', '.join(names)} two have one name.")
    return members


def fusion_config(recipe: FusionRecipe, members: Sequence[Detector]) -> Config:
    """The detector that a recipe makes of its members, before it is calibrated."""
    return Config(
        name=recipe.name,
        architecture="fusion",
        options={"members": [{"name": m.config.name, "digest": m.digest} for m in members]},
        frontend="raw",
        window=members[0].config.window,
        hop_s=recipe.hop_s,
        level_normalise=members[0].config.level_normalise,
    )


def source_folds(clips: Sequence[Clip]) -> list[Fold]:
    """Folds by source, or by speaker, that each leave both labels to learn from.

    Raises HearsayError for clips of which there are none.
    """
    labels = np.array([c.is_spoof for c in clips])
    for groups in ([c.source or c.speaker for c in clips], [c.speaker for c in clips]):
        count = min(FOLDS, len(set(groups)))
        if count > 1:
            folds = list(GroupKFold(count).split(labels, labels, groups))
            if all(len(set(labels[learned])) == 2 for learned, _ in folds):
                return folds
    raise HearsayError(
        "A fusion is fitted on dev, some sources or speakers judged by the others: both labels are "
        "needed in two sources or speakers at least."
    )


def fuse(
    recipe: FusionRecipe, members: Sequence[Detector], material: Material, folds: list[Fold]
) -> tuple[Detector, np.ndarray]:
    """Fit the weights of a fusion of `members` on the held clips, and calibrate it.

    folds: of `source_folds`. Returns the fusion and its LLRs (n,), cross-fitted over them;
    `figures["dev"]["members"]` holds every member's share of the standardised weights, its EER
    alone and that of the fusion without it.
    """
    clips = material.held
    audio = [*material.held_audio, *degraded(clips, material.held_audio)]
    rounds = len(audio) // len(clips)
    folds = [_in_rounds(fold, len(clips), rounds) for fold in folds]
    means = []
    for member in members:
        # scored at the fusion's hop, which may not be the one that the member has
        as_here = dataclasses.replace(member.config, hop_s=recipe.hop_s)
        scored = Detector(as_here, member.net, members=member.members)
        means.append([pool("mean", *clip) for clip in clip_windows(scored, audio)])
    logits = np.array(means).T  # (rounds x clips, members)
    labels = np.tile([int(c.is_spoof) for c in clips], rounds)

    model = _regression().fit(logits, labels)
    scaler, regression = model[0], model[1]
    weight = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - weight @ scaler.mean_
    config = fusion_config(recipe, members)
    net = Fusion(config.options["members"])
    with torch.no_grad():
        net.weight.copy_(net.weight.new_tensor(weight))
        net.bias.copy_(net.bias.new_tensor(bias))

    config, llr = settle(config, _cross_fitted(logits, labels, folds), clips, "dev")
    size = np.abs(regression.coef_[0])
    n = len(clips)
    without = [
        eer(_cross_fitted(np.delete(logits, i, axis=1), labels, folds)[:n], labels[:n])
        if len(members) > 1
        else 0.5
        for i in range(len(members))
    ]
    names = [member.config.name for member in members]
    config.figures["dev"]["members"] = {
        name: {
            "share": float(share),
            "alone": eer(logits[:n, i], labels[:n]),
            "eer_without": without[i],
        }
        for i, (name, share) in enumerate(zip(names, size / size.sum(), strict=True))
    }
    return Detector(config, net, members=members), llr


def _in_rounds(fold: Fold, n: int, rounds: int) -> Fold:
    """A fold of n clips, for several rounds of them: a clip's copies stay on its side."""
    learned, judged = (np.concatenate([side + n * r for r in range(rounds)]) for side in fold)
    return learned, judged


def _regression():
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced")
    )


def _cross_fitted(logits: np.ndarray, labels: np.ndarray, folds: list[Fold]) -> np.ndarray:
    """Decision values (n,) of regressions that never saw the fold of the clip they score."""
    return cross_val_predict(_regression(), logits, labels, cv=folds, method="decision_function")
