"""Detector: architecture, weights, front-end and calibration as one object and one folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .audio import RATE, Waveform
from .catalog import build, build_frontend
from .config import POOLINGS, Config
from .errors import HearsayError, reason
from .frontends.spectrograms import level
from .models.network import Network

READ = ("config.json", "weights.safetensors")  # all that is ever read of a detector folder
FILES = (*READ, "card.md")


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
        """P(spoof) when a share `prior` (0..1, exclusive) of such clips is spoof.

        Raises ValueError for another prior, HearsayError where the LLR is no number.
        """
        if not 0 < prior < 1:
            raise ValueError("The prior lies between 0 and 1, both excluded.")
        if not math.isfinite(self.llr):
            raise HearsayError("The detector gave no usable number for this recording.")
        return float(np.exp(-np.logaddexp(0.0, -self.llr - math.log(prior / (1 - prior)))))


class Detector:
    """Waveform in, LLR out; plain PyTorch inside (`net`, `frontend`), always in eval mode."""

    def __init__(
        self, config: Config, net: Network | None = None, version: str = "bundled"
    ) -> None:
        """Detector of `config`, with `net`'s weights or fresh ones; version: where it is from."""
        self.config, self.version = config, version
        self.net = build(config.architecture, config.options) if net is None else net
        self.frontend = build_frontend(config.frontend, config.frontend_options)
        # channels_last: max-pooling and 3x3 convolutions of narrow maps run up to twice as fast
        self.net.eval().requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frontend.eval()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of what decides the answers: config and weights.

        Detectors of equal digest answer alike, whatever they are called and whatever was measured
        of them: the config's name and figures stay outside.
        """
        config = asdict(self.config)
        del config["name"], config["figures"]
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for name, weight in sorted(self.net.state_dict().items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} ".encode())
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    @property
    def batch(self) -> int:
        """How many windows are scored at once: memory stays flat at any length."""
        return self.net.windows_at_once

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

    def check_runs(self) -> None:
        """HearsayError unless front-end and network fit, that is, a window of hiss gets a logit.

        Opening does without, since it takes up to half a second.
        """
        hiss = np.random.default_rng(0).normal(0, 0.05, self.config.window).astype(np.float32)
        try:
            (logit,) = self.window_logits(hiss, [0])
        except Exception as error:  # anything, of whatever operation the picture does not fit
            raise HearsayError(
                f"{self.config.name} cannot score a window, so its front-end does not fit its "
                f"network: {reason(error)}."
            ) from error
        if not math.isfinite(logit):
            raise HearsayError(f"{self.config.name} scores a window of hiss with {logit}.")

    def save(self, folder: str | Path, card: str = "") -> None:
        """Write config.json, weights.safetensors and card.md; the folder appears whole or not.

        A detector that is there already is replaced. Raises HearsayError for a folder that holds
        anything else, and where nothing can be written.
        """
        folder = Path(os.path.realpath(folder))  # a link stays a link, and "." gets its name
        try:
            if folder.exists() and {*os.listdir(folder)} - {*FILES}:
                raise HearsayError(
                    f"{folder} holds other things than a detector, so it was left alone."
                )
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".detector-", dir=folder.parent) as scratch:
                new = Path(scratch, "new")
                new.mkdir()
                weights = {k: v.contiguous() for k, v in self.net.state_dict().items()}
                save_file(weights, new / "weights.safetensors")
                (new / "weights.safetensors").chmod(0o644)  # safetensors: for the owner alone
                (new / "config.json").write_text(self.config.to_json() + "\n")
                # a file name in the card may be of no encoding
                (new / "card.md").write_text(card, encoding="utf-8", errors="backslashreplace")
                if folder.exists():
                    os.rename(folder, Path(scratch, "old"))
                os.rename(new, folder)
        except (OSError, SafetensorError) as error:
            raise HearsayError(
                f"No detector can be written to {folder}: {reason(error)}."
            ) from error

    @staticmethod
    def open(folder: str | Path) -> Detector:
        """Open a detector folder: reads JSON and safetensors, and executes nothing from it.

        Raises HearsayError when a file is missing or wrong, or the weights do not fit the network.
        """
        folder = Path(folder)
        check_files(folder)
        try:
            detector = Detector(Config.from_json((folder / "config.json").read_text()))
            weights = load_file(folder / "weights.safetensors")
            check_weights(detector.net, weights)
        except (ValueError, OSError, SafetensorError) as error:
            raise HearsayError(f"{folder} holds no usable detector: {error}") from error
        detector.net.load_state_dict(weights)
        return detector


def check_files(folder: Path) -> None:
    """HearsayError that names the first file that a detector folder lacks."""
    missing = [name for name in READ if not (folder / name).is_file()]
    if missing:
        raise HearsayError(f"{folder} holds no detector: {missing[0]} is missing.")


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
    """ValueError that names the weights that are missing, unexpected, misshapen or no numbers."""
    wanted = net.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    surplus = sorted(weights.keys() - wanted.keys())
    shared = sorted(wanted.keys() & weights.keys())
    misshapen = [k for k in shared if wanted[k].shape != weights[k].shape]
    unusable = [k for k in shared if not weights[k].float().isfinite().all()]
    faults = {
        "missing": missing,
        "unexpected": surplus,
        "misshapen": misshapen,
        "NaN or infinite": unusable,
    }
    said = [
        f"{len(k)} {what} ({', '.join(k[:4])}{', ...' if k[4:] else ''})"
        for what, k in faults.items()
        if k
    ]
    if said:
        raise ValueError(f"The weights do not fit the architecture: {'; '.join(said)}.")
