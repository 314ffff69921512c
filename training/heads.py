"""Heads of a frozen network: trained in memory, on embeddings that were computed once.

With the rest frozen a clip's embedding never changes, so that an epoch takes a second where it took
minutes, recipes can be ranked, and several heads from several seeds averaged into one.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from corpora.manifest import Clip, originals
from detectors.detector import Detector
from evaluation.metrics import auc, eer

from .batches import epoch_plan
from .clips import Material
from .features import cache_features
from .initialise import detector_config, initialise
from .losses import cross_entropy
from .recipe import NetworkRecipe
from .schedule import warmup_cosine

Report = Callable[[int, dict[str, float]], None]  # (epoch, values)
SMALLEST_STD = 1e-3


def fit_heads(recipe: NetworkRecipe, material: Material, report: Report) -> Detector:
    """A detector whose network is as it was, and its head the mean of `recipe.heads` new ones.

    report: is told, after each epoch of each head, the loss and how it does on the held clips'
    first windows. A head's last epoch is kept: there is no best one to be picked on the few clips
    that calibrate it.
    """
    torch.manual_seed(recipe.seed)
    detector = Detector(detector_config(recipe))
    net = detector.net
    initialise(net, recipe)
    files = cache_features(
        recipe, material.train_audio, recipe.cache_variants, originals(material.train), net
    )
    x = torch.stack([_read(variants) for variants in files])  # (clips, variants, embedding)
    held_files = cache_features(recipe, material.held_audio, net=net)
    held = torch.stack([_read(variants)[0] for variants in held_files])
    mean, std = x.mean(dim=(0, 1)), x.std(dim=(0, 1)).clamp_min(SMALLEST_STD)
    x, held = x.sub_(mean).div_(std), (held - mean) / std
    heads = []
    for n in range(recipe.heads):
        torch.manual_seed(recipe.seed + n)
        head = net.new_head()
        for epoch, loss in enumerate(_epochs(head, x, material.train, recipe, n)):
            values = {"loss": loss, **_judged(head, held, material.held)}
            report(n * recipe.epochs + epoch, values)
        heads.append(head)
    options = {**detector.config.options, **net.take_heads(heads, mean, std)}
    net.merge()
    return Detector(dataclasses.replace(detector.config, options=options), net)


def _read(paths: Sequence[Path]) -> Tensor:
    return torch.from_numpy(np.stack([np.load(path) for path in paths]).astype(np.float32))


def _epochs(
    head: nn.Module, x: Tensor, clips: Sequence[Clip], recipe: NetworkRecipe, n: int
) -> Iterator[float]:
    """Train the n-th head on standardised embeddings (clips, variants, embedding); mean losses."""
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = 2 * recipe.pairs // recipe.batch
    schedule = LambdaLR(optimiser, warmup_cosine(steps * recipe.epochs, recipe.warmup))
    target = torch.tensor([float(clip.is_spoof) for clip in clips])
    for epoch in range(recipe.epochs):
        order = random.Random(f"{recipe.seed + n} {epoch}")
        rng = np.random.default_rng([recipe.seed + n, epoch])
        plan = epoch_plan(clips, recipe.pairs, recipe.same_source, order, recipe.copy_pairs)
        losses = []
        head.train()
        for step in range(steps):
            rows = torch.tensor(plan[step * recipe.batch : (step + 1) * recipe.batch])
            crops = x[rows, torch.from_numpy(rng.integers(x.shape[1], size=len(rows)))]
            crops, labels = _mixup(crops, target[rows], recipe.mixup, rng)
            loss = cross_entropy(head(crops), labels, recipe.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        yield float(np.mean(losses))


def _mixup(
    x: Tensor, target: Tensor, strength: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Each row mixed with another one, and its target likewise.

    Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization", eq. 1.
    """
    if not strength:
        return x, target
    share = torch.from_numpy(rng.beta(strength, strength, len(x)).astype(np.float32))
    other = torch.from_numpy(rng.permutation(len(x)))
    mixed = share[:, None] * x + (1 - share[:, None]) * x[other]
    return mixed, share * target + (1 - share) * target[other]


def _judged(head: nn.Module, held: Tensor, clips: Sequence[Clip]) -> dict[str, float]:
    head.eval()
    with torch.inference_mode():
        scores = head(held).numpy()
    labels = [clip.is_spoof for clip in clips]
    return {"held_eer": eer(scores, labels), "held_auc": auc(scores, labels)}
