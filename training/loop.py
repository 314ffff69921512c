"""The training loop: balanced batches, averaged weights, dev after each epoch, exact resume."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from corpora.manifest import Clip, originals
from detectors.audio.reader import RATE
from detectors.config import Config
from detectors.detector import Detector, cut
from detectors.files import whole
from detectors.models.network import Network
from evaluation.metrics import auc, eer

from . import partial_spoof_loss
from .backbone import resolved
from .batches import Batches, Crops, WaveformCrops, epoch_plan
from .distillation import hints
from .features import FeatureCrops, featurise
from .initialise import begin, keep
from .recipe import TrainConfig
from .spec_augment import masked

Report = Callable[[int, dict[str, float]], None]  # (epoch, values)
JUDGED_AT_ONCE = 4  # windows: twice as long as most crops, they must not cost more than a batch


@dataclass(frozen=True)
class Material:
    """Clips and their int16 audio, to learn from and to select on."""

    train: Sequence[Clip]
    train_audio: Sequence[np.ndarray]
    held: Sequence[Clip]
    held_audio: Sequence[np.ndarray]


class Trainer:
    """Network, averaged network, optimiser and schedule, and the checkpoint that holds them.

    A run that was killed goes on from its last checkpoint and ends with the same weights as one
    that was not: the batches depend on (seed, epoch, position) and the generators' states are
    saved. The best averaged weights so far lie in a file of their own beside it.
    """

    def __init__(self, config: TrainConfig, material: Material, checkpoint: Path) -> None:
        self.config, self.material, self.checkpoint = config, material, checkpoint
        torch.manual_seed(config.seed)
        self.device = torch.device(_device(config.device))
        self.half = config.half and _has_bfloat16(self.device)
        self.detector = Detector(detector_config(config))
        begin(self.detector.net, config)
        self.features: list[list[Path]] = []  # of train's clips; empty when made on the fly
        self.held_features: list[list[Path]] = []
        if config.cache_variants:
            self._cache()
        self.first = deepcopy(self.detector.net.state_dict()) if config.kept else {}
        self.detector.net.tune()
        self.net = self.detector.net.to(self.device)
        self.frontend = self.detector.frontend.to(self.device)
        self.ema = AveragedModel(self.net, avg_fn=_average(config.ema), use_buffers=True)
        for weight, average in zip(self.net.parameters(), self.ema.parameters(), strict=True):
            if not weight.requires_grad:  # a frozen trunk is held, and saved, once
                average.data = weight.data
        self.hints = hints(config, self.detector.net).to(self.device) if config.teachers else None
        learner = [self.net, self.hints] if self.hints else [self.net]
        self.trained = [w for part in learner for w in part.parameters() if w.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.trained, lr=config.lr, weight_decay=config.weight_decay
        )
        self.steps_an_epoch = 2 * config.pairs // config.batch
        self.schedule = LambdaLR(self.optimiser, self._rate)
        self.epoch, self.step = 0, 0  # the next batch's place
        self.best, self.best_epoch = -1.0, -1
        self.extra: dict[str, Any] = {}  # what the caller wants kept: the tracking run's id
        if checkpoint.exists():
            self._resume()

    def _cache(self) -> None:
        """Read or make the features, and let a network that standardises them see train's."""
        self.features = featurise(
            self.config,
            self.material.train_audio,
            self.config.cache_variants,
            originals(self.material.train),
        )
        windows = [cut(a, 0, self.config.window) for a in self.material.held_audio]
        self.held_features = featurise(self.config, windows)
        if self.detector.net.standardises:
            paths = [path for variants in self.features for path in variants]
            self.detector.net.standardise_on(np.load(path) for path in paths)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then a half cosine to zero."""
        total = self.steps_an_epoch * self.config.epochs
        warm = max(1, round(total * self.config.warmup))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warm) / max(1, total - warm)))))

    def run(self, report: Report) -> Detector:
        """Train to the last epoch or until dev stops improving; the best averaged weights."""
        while self.epoch < self.config.epochs:
            if self.epoch - self.best_epoch > self.config.patience:
                break
            values = {"loss": self._epoch(), **self._judge()}
            if values["held_auc"] > self.best:
                self.best, self.best_epoch = values["held_auc"], self.epoch
                _write(self.ema.module.state_dict(), self._best_file)
            self.epoch, self.step = self.epoch + 1, 0
            self.save()
            report(self.epoch - 1, {**values, "lr": float(self.schedule.get_last_lr()[0])})
        best = torch.load(self._best_file, weights_only=True, map_location="cpu")
        net = cast(Network, self.ema.module.cpu())
        net.load_state_dict(best)
        if self.first:
            keep(net, self.first, self.config.kept)
        net.merge()  # what training put in goes into the weights
        return Detector(self.detector.config, net)

    @property
    def _best_file(self) -> Path:
        return self.checkpoint.with_suffix(".best.pt")

    def _epoch(self) -> float:
        """The rest of this epoch; returns the mean loss of the batches that it ran."""
        self.net.train()
        losses = []
        first = self.step
        bar = tqdm(
            self._batches(first),
            desc=f"epoch {self.epoch + 1}/{self.config.epochs}",
            initial=self.epoch * self.steps_an_epoch + first,
            total=self.config.epochs * self.steps_an_epoch,  # its ETA is that of the last epoch
            leave=False,
            mininterval=10,
        )
        for batch in bar:
            losses.append(self._batch(*(tensor.to(self.device) for tensor in batch)))
            self.step += 1
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", refresh=False)
            if self.step % self.config.save_every == 0:
                self.save()
        return float(np.mean(losses)) if losses else float("nan")

    def _batches(self, first: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        c = self.config
        rng = random.Random(f"{c.seed} {self.epoch}")
        plan = epoch_plan(self.material.train, c.pairs, c.same_source, rng, c.paired)
        crops: Crops
        spliced = originals(self.material.train) if c.swaps else {}
        if self.features:
            rate = RATE / self.frontend.hop
            crops = FeatureCrops(self.material.train, self.features, spliced, c.swaps, rate)
        else:
            audio = self.material.train_audio
            crops = WaveformCrops(self.material.train, audio, c.augment, spliced, c.swaps)
        batches = Batches(crops, self.material.train, plan, c.batch, c.crop_s, (c.seed, self.epoch))
        rest = Subset(batches, range(first, len(batches)))
        own = torch.Generator()  # else each start of the loader would move on the one of dropout
        return iter(
            DataLoader(rest, batch_size=None, num_workers=1, prefetch_factor=4, generator=own)
        )

    def _batch(self, x: Tensor, y: Tensor, where: Tensor) -> float:
        c = self.config
        with torch.no_grad():
            features = x if self.features else self.frontend(self.detector.level(x))
            features = masked(features, c.spec_augment)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            target, missed = y * (1 - c.smoothing) + 0.5 * c.smoothing, y.new_zeros(())
            if self.hints:
                logit, opinion, missed = self.hints(self.net, features)
                target = (target + opinion) / 2
            elif c.columns:
                logit, target, missed = partial_spoof_loss.judge(
                    self.net, features, target, where, c.smoothing
                )
                missed = c.columns * missed
            else:
                logit = self.net(features)
        loss = binary_cross_entropy_with_logits(logit.float(), target) + missed
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 5.0)
        self.optimiser.step()
        self.schedule.step()
        self.ema.update_parameters(self.net)
        return float(loss.detach())

    def _judge(self) -> dict[str, float]:
        """EER and AUC of the averaged weights on the held clips' first windows."""
        self.ema.eval()
        logits = []
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.half),
        ):
            for i in range(0, len(self.material.held), JUDGED_AT_ONCE):
                with torch.autocast(self.device.type, enabled=False):
                    features = self._held(slice(i, i + JUDGED_AT_ONCE)).to(self.device)
                logits.append(self.ema(features).float().cpu().numpy())
        scores = np.concatenate(logits)
        labels = [c.is_spoof for c in self.material.held]
        return {"held_eer": eer(scores, labels), "held_auc": auc(scores, labels)}

    def _held(self, rows: slice) -> Tensor:
        """What the network reads of the held clips' first windows."""
        if self.held_features:
            first = [np.load(paths[0]) for paths in self.held_features[rows]]
            return torch.from_numpy(np.stack(first).astype(np.float32))
        audio = [cut(a, 0, self.config.window) for a in self.material.held_audio[rows]]
        x = torch.from_numpy(np.stack(audio).astype(np.float32) / 32767).to(self.device)
        return self.frontend(self.detector.level(x))

    def save(self) -> None:
        """Checkpoint, whole or not at all."""
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "hints": self.hints.state_dict() if self.hints else {},
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "place": [self.epoch, self.step, self.best_epoch],
            "best": self.best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),  # none without a GPU
            "extra": self.extra,
        }
        _write(state, self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        if self.hints:
            self.hints.load_state_dict(state["hints"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.step, self.best_epoch = state["place"]
        self.best, self.extra = state["best"], state["extra"]
        torch.set_rng_state(state["random"].cpu())
        there = state["random_cuda"][: torch.cuda.device_count()]
        torch.cuda.set_rng_state_all([random.cpu() for random in there])


def detector_config(config: TrainConfig) -> Config:
    """The detector that a recipe makes, before it is calibrated."""
    return Config(
        name=config.name,
        architecture=config.architecture,
        options=resolved(config),
        frontend=config.frontend,
        frontend_options=config.frontend_options,
        window=config.window,
        hop_s=config.hop_s,
    )


def _average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that forgets the first, untrained weights quickly."""

    def blend(average: Tensor, weight: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():  # batch counters
            return weight
        return torch.lerp(weight, average, min(decay, (1 + int(count)) / (10 + int(count))))

    return blend


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _has_bfloat16(device: torch.device) -> bool:
    """Emulated, on a processor without it, bfloat16 costs a ResNet 17 times what float32 does."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _write(state: Any, path: Path) -> None:
    """torch.save to a temporary name, then rename."""
    with whole(path) as scratch:
        torch.save(state, scratch)
