"""The training loop: balanced batches, averaged weights, dev after each epoch, exact resume."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from corpora.manifest import originals
from detectors.audio import RATE
from detectors.detector import Detector, cut
from detectors.files import whole
from detectors.models.network import Network
from detectors.processes import end_with_parent
from evaluation.metrics import auc, eer

from .batches import Batches, Crops, WaveformCrops, epoch_plan
from .clips import Material
from .features import FeatureCrops, cache_features
from .initialise import detector_config, initialise, interpolate
from .losses import make_loss
from .recipe import NetworkRecipe
from .schedule import moving_average, warmup_cosine
from .spec_augment import mask_spectrogram

Report = Callable[[int, dict[str, float]], None]  # (epoch, values)
JUDGED_AT_ONCE = 4  # windows: twice as long as most crops, they must not cost more than a batch
LARGEST_GRADIENT = 5.0


class Trainer:
    """Network, averaged network, optimiser and schedule, and the checkpoint that holds them.

    A run that was killed goes on from its last checkpoint and ends with the same weights as one
    that was not: the batches depend on (seed, epoch, position) and the generators' states are
    saved. The best averaged weights so far lie in a file of their own beside it.
    """

    def __init__(self, recipe: NetworkRecipe, material: Material, checkpoint: Path) -> None:
        self.recipe, self.material, self.checkpoint = recipe, material, checkpoint
        torch.manual_seed(recipe.seed)
        self.device = _device(recipe.device)
        self.bfloat16 = recipe.bfloat16 and _has_bfloat16(self.device)
        self.detector = Detector(detector_config(recipe))
        self.frontend = self.detector.frontend.to(self.device)
        self.net = self.detector.net
        initialise(self.net, recipe)
        self.held_features: list[list[Path]] = []  # empty when made on the fly, as train's are
        self.crops = self._cached_crops() if recipe.cache_variants else self._waveform_crops()
        self.first = deepcopy(self.net.state_dict()) if recipe.interpolate else {}
        self.net.tune()
        self.net.to(self.device)
        self.ema = AveragedModel(
            self.net, avg_fn=moving_average(recipe.ema_decay), use_buffers=True
        )
        for weight, average in zip(self.net.parameters(), self.ema.parameters(), strict=True):
            if not weight.requires_grad:  # a frozen trunk is held, and saved, once
                average.data = weight.data
        self.loss = make_loss(recipe, self.net).to(self.device)
        weights = [*self.net.parameters(), *self.loss.parameters()]
        self.trained = [weight for weight in weights if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.trained, lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.steps_an_epoch = 2 * recipe.pairs // recipe.batch
        steps = self.steps_an_epoch * recipe.epochs
        self.schedule = LambdaLR(self.optimiser, warmup_cosine(steps, recipe.warmup))
        self.epoch, self.step = 0, 0  # the next batch's place
        self.best, self.best_epoch = -1.0, -1
        self.run_id: str | None = None  # of the tracking, which a resumed run goes on with
        if checkpoint.exists():
            self._resume()

    def _waveform_crops(self) -> Crops:
        clips, recipe = self.material.train, self.recipe
        copied = originals(clips)
        return WaveformCrops(
            clips, self.material.train_audio, recipe.augment, copied, recipe.splices
        )

    def _cached_crops(self) -> Crops:
        """Read or make the features, and let a network that standardises them see train's."""
        recipe, clips, hop = self.recipe, self.material.train, self.frontend.hop
        copied = originals(clips)
        audio = self.material.train_audio
        files = cache_features(recipe, audio, recipe.cache_variants, copied)
        windows = [cut(x, 0, recipe.window) for x in self.material.held_audio]
        self.held_features = cache_features(recipe, windows)
        if self.net.standardises:
            self.net.standardise_on(np.load(path) for paths in files for path in paths)
        return FeatureCrops(clips, files, copied, recipe.splices, RATE / hop)

    def run(self, report: Report) -> Detector:
        """Train to the last epoch or until dev stops improving; the best averaged weights."""
        while self.epoch < self.recipe.epochs:
            if self.epoch - self.best_epoch > self.recipe.patience:
                break
            values = {"loss": self._epoch(), **self._judge()}
            if values["held_auc"] > self.best:
                self.best, self.best_epoch = values["held_auc"], self.epoch
                _write(self.ema.module.state_dict(), self._best_file)
            self.epoch, self.step = self.epoch + 1, 0
            self.save()
            report(self.epoch - 1, {**values, "lr": float(self.schedule.get_last_lr()[0])})
        net = cast(Network, self.ema.module.cpu())
        net.load_state_dict(torch.load(self._best_file, weights_only=True, map_location="cpu"))
        if self.first:
            interpolate(net, self.first, self.recipe.interpolate)
        net.merge()  # what training put in goes into the weights
        return Detector(self.detector.config, net)

    @property
    def _best_file(self) -> Path:
        return self.checkpoint.with_suffix(".best.pt")

    def _epoch(self) -> float:
        """The rest of this epoch; returns the mean loss of the batches that it ran."""
        self.net.train()
        losses = []
        bar = tqdm(
            self._batches(self.step),
            desc=f"epoch {self.epoch + 1}/{self.recipe.epochs}",
            initial=self.epoch * self.steps_an_epoch + self.step,
            total=self.recipe.epochs * self.steps_an_epoch,  # its ETA is that of the last epoch
            leave=False,
            mininterval=10,
        )
        for batch in bar:
            losses.append(self._batch(*(tensor.to(self.device) for tensor in batch)))
            self.step += 1
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", refresh=False)
            if self.step % self.recipe.save_every == 0:
                self.save()
        return float(np.mean(losses)) if losses else float("nan")

    def _batches(self, first: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """This epoch's batches from `first` on, made in a process of their own."""
        recipe, clips = self.recipe, self.material.train
        rng = random.Random(f"{recipe.seed} {self.epoch}")
        plan = epoch_plan(clips, recipe.pairs, recipe.same_source, rng, recipe.copy_pairs)
        seed = recipe.seed, self.epoch
        batches = Batches(self.crops, clips, plan, recipe.batch, recipe.crop_s, seed)
        rest = Subset(batches, range(first, len(batches)))
        own = torch.Generator()  # else each start of the loader would move on the one of dropout
        return iter(
            DataLoader(
                rest,
                batch_size=None,
                num_workers=1,
                prefetch_factor=4,
                generator=own,
                worker_init_fn=end_with_parent,
            )
        )

    def _batch(self, x: Tensor, target: Tensor, mask: Tensor) -> float:
        """One step on waveforms or cached features x; returns the loss."""
        with torch.no_grad():
            features = x if self.recipe.cache_variants else self.frontend(self.detector.level(x))
            if self.recipe.spec_augment:
                features = mask_spectrogram(features, self.recipe.spec_augment)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = self.loss(self.net, features, target, mask)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        self.ema.update_parameters(self.net)
        return float(loss.detach())

    def _judge(self) -> dict[str, float]:
        """EER and AUC of the averaged weights on the held clips' first windows."""
        self.ema.eval()
        logits = []
        with torch.inference_mode():
            for i in range(0, len(self.material.held), JUDGED_AT_ONCE):
                features = self._held(slice(i, i + JUDGED_AT_ONCE)).to(self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                    logits.append(self.ema(features).float().cpu().numpy())
        scores = np.concatenate(logits)
        labels = [c.is_spoof for c in self.material.held]
        return {"held_eer": eer(scores, labels), "held_auc": auc(scores, labels)}

    def _held(self, rows: slice) -> Tensor:
        """What the network reads of the held clips' first windows."""
        if self.held_features:
            first = [np.load(paths[0]) for paths in self.held_features[rows]]
            return torch.from_numpy(np.stack(first).astype(np.float32))
        audio = [cut(x, 0, self.recipe.window) for x in self.material.held_audio[rows]]
        x = torch.from_numpy(np.stack(audio).astype(np.float32) / 32767).to(self.device)
        return self.frontend(self.detector.level(x))

    def save(self) -> None:
        """Checkpoint, whole or not at all."""
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "place": [self.epoch, self.step, self.best_epoch],
            "best": self.best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),  # none without a GPU
            "run_id": self.run_id,
        }
        _write(state, self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        for name in ("net", "ema", "loss", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch, self.step, self.best_epoch = state["place"]
        self.best, self.run_id = state["best"], state["run_id"]
        torch.set_rng_state(state["random"].cpu())
        there = state["random_cuda"][: torch.cuda.device_count()]
        torch.cuda.set_rng_state_all([random.cpu() for random in there])


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _has_bfloat16(device: torch.device) -> bool:
    """Emulated, on a processor without it, bfloat16 costs a ResNet 17 times what float32 does."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _write(state: Any, path: Path) -> None:
    """torch.save to a temporary name, then rename."""
    with whole(path) as scratch:
        torch.save(state, scratch)
