"""Detector: architecture, weights, front-end and calibration as one object and one folder."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .audio import RATE, Waveform
from .catalog import build, build_frontend
from .frontends import level

# Windows scored at once: memory stays flat at any length. A network with large maps says
# itself how many it takes (windows_at_once).
BATCH = 8


class DetectorError(ValueError):
    """A detector that cannot be opened, said in one sentence."""


@dataclass(frozen=True)
class Calibration:
    """Pooled logit -> LLR (scale, offset), and what dev says about LLRs.

    threshold: LLR at dev's equal error rate. abstain: the band called "inconclusive".
    """

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.0
    abstain: tuple[float, float] = (0.0, 0.0)

    def verdict(self, llr: float, prior: float = 0.5) -> str:
        """ "fake", "real" or "inconclusive" for a clip's LLR.

        Threshold and band were chosen on dev at even odds. Another prior (0..1, exclusive) shifts
        the evidence by its log odds, so that verdict and P(fake) always move together.
        """
        evidence = llr + math.log(prior / (1 - prior))
        low, high = self.abstain
        if low < evidence < high:
            return "inconclusive"
        return "fake" if evidence > self.threshold else "real"


@dataclass(frozen=True)
class Config:
    """Everything but the weights; `config.json` holds it, and unknown keys are refused.

    window: samples that the network reads at once. pooling: clip logit from window logits,
    "mean", "max" or "top3" (mean of the three highest). figures: measured error rates by split.
    """

    name: str
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    frontend: str = "log-mel"
    frontend_options: dict[str, Any] = field(default_factory=dict)
    window: int = 64_600
    hop_s: float = 1.0
    level_normalise: bool = True
    pooling: str = "mean"
    calibration: Calibration = Calibration()
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not '{self.pooling}'.")
        if self.window < RATE // 2 or self.hop_s <= 0:
            raise ValueError("window is at least half a second and hop_s is above zero.")

    def eer(self, split: str) -> float | None:
        """Equal error rate measured on "dev" or "test", 0..1, None where none was."""
        figures = self.figures.get(split, {})
        return float(figures["eer"]) if "eer" in figures else None

    @property
    def rank(self) -> tuple[float, float, str]:
        """Sorts detectors by Cllr on dev, then EER and name: best first, unmeasured ones last.

        Cllr judges the probability that is shown, and all of the curve: on a few hundred clips it
        is steadier than one point of it.
        """
        dev = self.figures.get("dev", {})
        return (float(dev.get("cllr", math.inf)), float(dev.get("eer", math.inf)), self.name)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> Config:
        """Read `to_json`'s text; ValueError names an unknown or missing key."""
        try:
            raw = json.loads(text)
            calibration = dict(raw.pop("calibration", {}))
            if "abstain" in calibration:
                calibration["abstain"] = tuple(calibration["abstain"])
            return Config(**raw, calibration=Calibration(**calibration))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"This is no detector config: {error}.") from error


@dataclass(frozen=True)
class Window:
    """LLR of one window, at its place in the clip (seconds)."""

    start_s: float
    end_s: float
    llr: float


@dataclass(frozen=True)
class Score:
    """Verdict of one detector on one clip. llr: natural log, positive = evidence for spoof."""

    llr: float
    windows: tuple[Window, ...]
    notes: tuple[str, ...] = ()

    def p_fake(self, prior: float = 0.5) -> float:
        """P(spoof) when a share `prior` (0..1, exclusive) of such clips is spoof."""
        if not 0 < prior < 1:
            raise ValueError("The prior lies between 0 and 1, both excluded.")
        return 1 / (1 + math.exp(-self.llr - math.log(prior / (1 - prior))))


POOLINGS = {
    "mean": lambda logits: float(np.mean(logits)),
    "max": lambda logits: float(np.max(logits)),
    "top3": lambda logits: float(np.mean(np.sort(logits)[-3:])),
}


class Detector:
    """Waveform in, LLR out; plain PyTorch inside (`net`, `frontend`), always in eval mode."""

    def __init__(
        self, config: Config, net: nn.Module | None = None, version: str = "bundled"
    ) -> None:
        """Detector of `config`, with `net`'s weights or fresh ones; version: where it is from."""
        self.config, self.version = config, version
        self.net = build(config.architecture, config.options) if net is None else net
        self.frontend = build_frontend(config.frontend, config.frontend_options)
        # channels_last: max-pooling and 3x3 convolutions of narrow maps run up to twice as fast
        self.net.eval().requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frontend.eval()

    @property
    def batch(self) -> int:
        """How many windows are scored at once."""
        return int(getattr(self.net, "windows_at_once", BATCH))

    def level(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, n) at the level that the network was trained on."""
        return level(x) if self.config.level_normalise else x

    def logits(self, x: Tensor, *, levelled: bool = False) -> Tensor:
        """(b, n) at 16 kHz -> (b,) uncalibrated logits, differentiable, positive = spoof.

        levelled: x came through `level` before it was masked, so leave what remains as it is.
        """
        return self.net(self.frontend(x if levelled else self.level(x)))

    def starts(self, wave: Waveform) -> list[int]:
        """First samples of the windows that a clip is scored by."""
        return window_starts(len(wave.samples), self.config.window, round(self.config.hop_s * RATE))

    def score(self, wave: Waveform, logits: np.ndarray | None = None) -> Score:
        """Score a clip of any length from overlapping windows.

        A clip shorter than a window is repeated to fill it, and the score's notes say so. logits:
        of the windows at `starts`, uncalibrated, by whoever has them already.
        """
        n, window = len(wave.samples), self.config.window
        starts = self.starts(wave)
        notes: tuple[str, ...] = ()
        if n < window:
            notes = (f"The clip lasts {n / RATE:.1f} s and was repeated to {window / RATE:.1f} s.",)
        raw = self.window_logits(wave.samples, starts) if logits is None else logits
        windows = tuple(
            Window(s / RATE, min(s + window, n) / RATE, self._llr(logit))
            for s, logit in zip(starts, raw, strict=True)
        )
        return Score(self._llr(POOLINGS[self.config.pooling](raw)), windows, notes)

    def window_logits(self, samples: np.ndarray, starts: list[int]) -> np.ndarray:
        """Uncalibrated logits of the windows of (n,) samples that begin at `starts`."""
        logits = []
        with torch.inference_mode():
            for i in range(0, len(starts), self.batch):
                these = starts[i : i + self.batch]
                rows = [cut(samples, s, self.config.window) for s in these]
                logits.append(self.logits(torch.from_numpy(np.stack(rows))).double().numpy())
        return np.concatenate(logits)

    def _llr(self, logit: float) -> float:
        return float(self.config.calibration.scale * logit + self.config.calibration.offset)

    def save(self, folder: str | Path, card: str = "") -> None:
        """Write config.json, weights.safetensors and card.md; the folder appears whole or not."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        weights = {k: v.contiguous() for k, v in self.net.state_dict().items()}
        save_file(weights, scratch / "weights.safetensors")
        (scratch / "weights.safetensors").chmod(0o644)  # safetensors writes for the owner alone
        (scratch / "config.json").write_text(self.config.to_json() + "\n")
        (scratch / "card.md").write_text(card)
        scratch.chmod(0o755)
        if folder.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            os.rename(folder, retired / "old")
            os.rename(scratch, folder)
            shutil.rmtree(retired)
        else:
            os.rename(scratch, folder)

    @staticmethod
    def open(folder: str | Path) -> Detector:
        """Open a detector folder: reads JSON and safetensors, and executes nothing from it.

        Raises DetectorError when a file is missing or the weights do not fit the architecture.
        """
        folder = Path(folder)
        try:
            config = Config.from_json((folder / "config.json").read_text())
            weights = load_file(folder / "weights.safetensors")
            net = build(config.architecture, config.options)
            check_weights(net, weights)
        except FileNotFoundError as error:
            raise DetectorError(
                f"{folder} holds no detector: {error.filename} is missing."
            ) from error
        except (ValueError, SafetensorError) as error:
            raise DetectorError(f"{folder} holds no usable detector: {error}") from error
        net.load_state_dict(weights)
        return Detector(config, net)


def window_starts(n: int, window: int, hop: int) -> list[int]:
    """First samples of the windows over n samples; the last window ends with the clip."""
    if n <= window:
        return [0]
    starts = list(range(0, n - window + 1, hop))
    if starts[-1] + window < n:
        starts.append(n - window)
    return starts


def cut(samples: np.ndarray, start: int, window: int) -> np.ndarray:
    """`window` samples from `start`; what is too short is repeated from its beginning."""
    piece = samples[start : start + window]
    return piece if len(piece) == window else np.resize(piece, window)


def check_weights(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """ValueError that names the missing, unexpected and misshapen weights, if there are any."""
    wanted = net.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    surplus = sorted(weights.keys() - wanted.keys())
    misshapen = sorted(
        k for k in wanted.keys() & weights.keys() if wanted[k].shape != weights[k].shape
    )
    faults = (("missing", missing), ("unexpected", surplus), ("misshapen", misshapen))
    said = [
        f"{len(k)} {what} ({', '.join(k[:4])}{', ...' if k[4:] else ''})" for what, k in faults if k
    ]
    if said:
        raise ValueError(f"The weights do not fit the architecture: {'; '.join(said)}.")
