"""Fit a fusion: logistic regression on dev over the logits of detectors that are trained already.

Dev chooses the weights and also says how good they are, so its figures and the calibration come
from scores that were cross-fitted over sources: no clip is scored by weights that saw its source.
Where dev has too few sources for that, they are cross-fitted over speakers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from corpora.manifest import Clip
from detectors import Config, Detector, load
from detectors.errors import HearsayError
from detectors.models.fusion import Fusion
from evaluation.calibrate import clip_windows, settle
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
        HearsayError: One cannot be opened, or they read windows of different lengths.
    """
    members = [load(name) for name in recipe.members]
    lengths = {member.config.window for member in members}
    if len(lengths) > 1:
        raise HearsayError(
            "Detectors that are fused read windows of one length; these read "
            f"{', '.join(map(str, sorted(lengths)))} samples."
        )
    return members


def fusion_config(recipe: FusionRecipe, members: Sequence[Detector]) -> Config:
    """The detector that a recipe makes of its members, before it is calibrated."""
    keys = ("name", "architecture", "options", "frontend", "frontend_options")
    return Config(
        name=recipe.name,
        architecture="fusion",
        options={"members": [{key: getattr(m.config, key) for key in keys} for m in members]},
        frontend="raw",
        window=members[0].config.window,
        hop_s=recipe.hop_s,
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
    detector = Detector(fusion_config(recipe, members))
    clips, hop_s = material.held, recipe.hop_s
    net = detector.net
    assert isinstance(net, Fusion)
    means = []
    for own, member in zip(net.nets, members, strict=True):
        own.load_state_dict(member.net.state_dict())
        # scored at the fusion's level and hop, which may not be those that the member has
        as_here = dataclasses.replace(member.config, level_normalise=True, hop_s=hop_s)
        scored = Detector(as_here, member.net)
        means.append(
            [float(np.mean(logits)) for logits in clip_windows(scored, material.held_audio)]
        )
    logits = np.array(means).T  # (clips, members)
    labels = np.array([c.is_spoof for c in clips], dtype=np.int64)

    model = _regression().fit(logits, labels)
    scaler, regression = model[0], model[1]
    weight = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - weight @ scaler.mean_
    net.weight.copy_(net.weight.new_tensor(weight))
    net.bias.copy_(net.bias.new_tensor(bias))

    config, llr = settle(detector.config, _cross_fitted(logits, labels, folds), clips, "dev")
    size = np.abs(regression.coef_[0])
    without = [
        eer(_cross_fitted(np.delete(logits, i, axis=1), labels, folds), labels)
        if len(members) > 1
        else 0.5
        for i in range(len(members))
    ]
    config.figures["dev"]["members"] = {
        name: {"share": float(share), "alone": eer(logits[:, i], labels), "eer_without": without[i]}
        for i, (name, share) in enumerate(zip(net.names, size / size.sum(), strict=True))
    }
    return Detector(config, net), llr


def _regression():
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced")
    )


def _cross_fitted(logits: np.ndarray, labels: np.ndarray, folds: list[Fold]) -> np.ndarray:
    """Decision values (n,) of regressions that never saw the fold of the clip they score."""
    return cross_val_predict(_regression(), logits, labels, cv=folds, method="decision_function")
