"""A recipe is refused here, before anything is read that takes minutes: one sentence a reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from detectors import load
from detectors.detector import Detector
from detectors.errors import HearsayError

from .augment import Augment
from .fuse import open_members
from .initialise import detector_config, load_imagenet
from .recipe import FusionRecipe, Recipe


def check(recipe: Recipe) -> None:
    """Refuse a recipe whose detector cannot be built, or with keys that would go without effect.

    What a recipe can say of itself, its type has checked; this is about the network, the machine
    and the files that it names.

    Raises:
        HearsayError: The first thing that is wrong.
    """
    if isinstance(recipe, FusionRecipe):
        open_members(recipe)
        return
    try:
        detector = Detector(detector_config(recipe))
    except ValueError as error:
        raise HearsayError(f"The detector '{recipe.name}' cannot be built: {error}") from error
    net, frontend = detector.net, detector.frontend
    augmented = recipe.augment != Augment() and any(dataclasses.astuple(recipe.augment))
    judges_parts = net.judges_frames or net.feature_groups is not None
    flat = recipe.spec_augment and frontend(torch.zeros(1, recipe.window)).dim() != 4
    for wrong, reason in (
        (
            recipe.device == "cuda" and not torch.cuda.is_available(),
            "device: PyTorch finds no GPU for cuda here; auto takes what is there.",
        ),
        (
            recipe.heads and not (net.embeds and recipe.cache_variants),
            "heads: only of whisper, whose embeddings are kept: cache_variants.",
        ),
        (
            recipe.heads and (recipe.splices or recipe.spec_augment or recipe.interpolate),
            "heads learn from whole crops: leave splices, spec_augment and interpolate out.",
        ),
        (
            net.embeds and recipe.cache_variants and not recipe.heads,
            "cache_variants: to keep embeddings, say how many heads read them.",
        ),
        (recipe.mixup and not recipe.heads, "mixup is for heads."),
        (
            recipe.cache_variants and frontend.hop == 1,
            "cache_variants needs a front-end with frames.",
        ),
        (
            net.standardises and not recipe.cache_variants,
            f"'{recipe.architecture}' is trained on cached features: cache_variants.",
        ),
        (
            recipe.cache_variants == 1 and augmented,
            "augment: with cache_variants: 1 every clip is kept as it is; take more.",
        ),
        (
            recipe.partial_spoof_weight and not judges_parts,
            "partial_spoof_weight: only cnn, resnet and prosody judge parts by themselves.",
        ),
        (flat, f"spec_augment: the front-end {recipe.frontend} makes no spectrogram."),
        (
            recipe.teachers and (not net.frame_channels or recipe.frontend != "raw"),
            "teachers: only res-tssdnet and inc-tssdnet learn by distillation.",
        ),
        (
            recipe.init and not Path(recipe.init).is_file(),
            f"There are no weights {recipe.init} for '{recipe.name}' to start from.",
        ),
        (
            recipe.interpolate and not (recipe.init or recipe.pretrained),
            "interpolate: there are no first weights to keep a share of; name them with init.",
        ),
    ):
        if wrong:
            raise HearsayError(reason)
    for teacher in map(load, recipe.teachers):
        if not teacher.net.frame_channels:
            raise HearsayError(
                f"teachers: '{teacher.config.name}' is of the architecture "
                f"{teacher.config.architecture}; only a cnn or resnet teaches."
            )
    if recipe.pretrained:
        load_imagenet(net)  # which leaves them in torchvision's cache
