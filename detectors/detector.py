"""Detector: architecture, weights, front-end and calibration as one object and one folder."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from .audio import RATE, Waveform
from .catalog import build, build_frontend
from .config import Config, pool
from .errors import HearsayError, reason
from .folder import Contents, check_files, read_folder, write_folder
from .frontends.spectrograms import level
from .models.network import Network
from .stretches import Stretch, find_stretches


@dataclass(frozen=True)
class Window:
    """LLR of one window, at its place in the recording (seconds), and the speech in it.

    It spans more than its own length where a silence was left out of it.
    """

    start_s: float
    end_s: float
    llr: float
    speech_s: float


@dataclass(frozen=True)
class Score:
    """Verdict of one detector on one clip. llr: natural log, positive = evidence for spoof.

    stretches: parts that contradict the rest, at even odds.
    """

    llr: float
    windows: tuple[Window, ...]
    notes: tuple[str, ...] = ()
    stretches: tuple[Stretch, ...] = ()

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
    """Waveform in, LLR out; plain PyTorch inside (`net`, `frontend`), always in eval mode.

    A fusion is a detector of detectors: its network reads the logits of its `members`.
    """

    def __init__(
        self,
        config: Config,
        net: Network | None = None,
        version: str = "bundled",
        members: Sequence[Detector] = (),
    ) -> None:
        """Detector of `config`.

        Args:
            net: The network with its weights; fresh ones if None.
            version: Its number in the registry, or "bundled".
            members: Of a fusion, in the order of its config.

        Raises:
            ValueError: Network or front-end cannot be built, or members do not fit together.
        """
        self.config, self.version, self.members = config, version, tuple(members)
        self.net = build(config.architecture, config.options) if net is None else net
        self.frontend = build_frontend(config.frontend, config.frontend_options)
        # channels_last: max-pooling and 3x3 convolutions of narrow maps run up to twice as fast
        self.net.eval().requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frontend.eval()
        if len(self.members) != len(self.net.member_weights()):
            raise ValueError("a fusion needs its members, and nothing else has any")
        for member in (m.config for m in self.members):
            same = member.level_normalise == config.level_normalise
            if member.window != config.window or not same:
                raise ValueError(
                    f"its member '{member.name}' reads windows of another length, or another level"
                )

    @property
    def contents(self) -> Contents:
        """What its folder holds."""
        return Contents(
            self.config, self.net.state_dict(), tuple(member.contents for member in self.members)
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of what decides the answers; see `Contents.digest`."""
        return self.contents.digest

    @property
    def parts(self) -> tuple[tuple[float, Detector], ...]:
        """Members and the weights of their logits; a detector without any is its only part."""
        if not self.members:
            return ((1.0, self),)
        return tuple(zip(self.net.member_weights(), self.members, strict=True))

    def combine(self, logits: Tensor) -> Tensor:
        """Logits of its parts (b, parts) -> its own (b,)."""
        return self.net(logits) if self.members else logits[:, 0]

    @property
    def differentiable(self) -> bool:
        """Does a gradient pass from the logit to the samples?"""
        return all(
            part.frontend.differentiable and part.net.differentiable for _, part in self.parts
        )

    def with_fixed_band_means(self, x: Tensor) -> Detector:
        """The detector with the band means of x (n,) in place of those of whatever it will read.

        A part of x then looks as it does within x, whatever becomes of the rest.
        """
        fixed = copy.copy(self)
        fixed.frontend = self.frontend.held(x)
        fixed.members = tuple(member.with_fixed_band_means(x) for member in self.members)
        return fixed

    @property
    def batch(self) -> int:
        """How many windows are scored at once: memory stays flat at any length."""
        return min([self.net.windows_at_once, *(member.batch for member in self.members)])

    def level(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, n) at the level that the network was trained on."""
        return level(x) if self.config.level_normalise else x

    def logits(self, x: Tensor, *, levelled: bool = False) -> Tensor:
        """(b, n) at 16 kHz -> (b,) uncalibrated logits, differentiable, positive = spoof.

        levelled: x came through `level` before it was masked, so leave what remains as it is.
        """
        x = x if levelled else self.level(x)
        if not self.members:
            return self.net(self.frontend(x))
        return self.combine(torch.stack([m.logits(x, levelled=True) for m in self.members], dim=1))

    def starts(self, wave: Waveform) -> list[int]:
        """First samples of the windows that a clip is scored by."""
        return window_starts(len(wave.samples), self.config.window, round(self.config.hop_s * RATE))

    def score(self, wave: Waveform, logits: np.ndarray | None = None) -> Score:
        """Score a clip of any length from overlapping windows, which vote by their speech.

        A clip shorter than a window is repeated to fill it, and the score's notes say so. logits:
        of the windows at `starts`, uncalibrated, by whoever has them already.
        """
        n, window = len(wave.samples), self.config.window
        starts = self.starts(wave)
        notes: tuple[str, ...] = ()
        if n < window:
            notes = (f"The clip lasts {n / RATE:.1f} s and was repeated to {window / RATE:.1f} s.",)
        raw = self.window_logits(wave.samples, starts) if logits is None else logits
        speech_s = window_speech(wave, starts, window)
        first = wave.recording_s(starts)
        last = wave.recording_s(np.minimum(np.add(starts, window), n), ending=True)
        columns = (x.tolist() for x in (first, last, raw, speech_s))
        calibration = self.config.calibration
        windows = tuple(
            Window(start_s, end_s, calibration.llr(logit), speech)
            for start_s, end_s, logit, speech in zip(*columns, strict=True)
        )
        llr = calibration.llr(pool(self.config.pooling, raw, speech_s), wave.heard_s)
        return Score(llr, windows, notes, find_stretches(windows, calibration))

    def window_logits(self, samples: np.ndarray, starts: list[int]) -> np.ndarray:
        """Uncalibrated logits of the windows of (n,) samples that begin at `starts`."""
        logits = []
        with torch.inference_mode():
            for i in range(0, len(starts), self.batch):
                these = starts[i : i + self.batch]
                rows = [cut(samples, s, self.config.window) for s in these]
                logits.append(self.logits(torch.from_numpy(np.stack(rows))).double().numpy())
        return np.concatenate(logits)

    def check_runs(self) -> None:
        """HearsayError unless front-end and network fit, that is, a window of hiss gets a logit.

        Opening does without, since it takes up to half a second.
        """
        hiss = np.random.default_rng(0).normal(0, 0.05, self.config.window).astype(np.float32)
        try:
            (logit,) = self.window_logits(hiss, [0])
        except Exception as error:  # anything, of whatever operation the features do not fit
            raise HearsayError(
                f"{self.config.name} cannot score a window, so its front-end does not fit its "
                f"network: {reason(error)}."
            ) from error
        if not math.isfinite(logit):
            raise HearsayError(f"{self.config.name} scores a window of hiss with {logit}.")

    def save(self, folder: str | Path, card: str = "") -> None:
        """Write config.json, weights.safetensors, card.md and members/; it appears whole or not.

        A detector that is there already is replaced.

        Raises:
            HearsayError: The folder holds anything else, or nothing can be written.
        """
        write_folder(Path(folder), self.contents, card)

    @staticmethod
    def open(folder: str | Path) -> Detector:
        """Open a detector folder: reads JSON and safetensors, and executes nothing from it.

        Raises:
            HearsayError: A file is missing or wrong, or the weights do not fit the network.
        """
        check_files(Path(folder))
        try:
            return _opened(read_folder(Path(folder)))
        except (ValueError, OSError, SafetensorError) as error:
            raise HearsayError(f"{folder} holds no usable detector: {error}") from error


def _opened(contents: Contents) -> Detector:
    detector = Detector(contents.config, members=[_opened(member) for member in contents.members])
    check_weights(detector.net, contents.weights)
    detector.net.load_state_dict(contents.weights)
    return detector


def window_starts(n: int, window: int, hop: int) -> list[int]:
    """First samples of the windows over n samples; the last window ends with the clip."""
    if n <= window:
        return [0]
    starts = list(range(0, n - window + 1, hop))
    if starts[-1] + window < n:
        starts.append(n - window)
    return starts


def window_speech(wave: Waveform, starts: list[int], window: int) -> np.ndarray:
    """Seconds of speech (windows,) within each of the windows that begin at `starts`."""
    spans = np.array(wave.speech).reshape(-1, 2) * RATE
    lengths = spans[:, 1] - spans[:, 0]
    after = np.cumsum(lengths)  # the speech up to a moment is piecewise linear in time
    time = np.append(0, spans)
    amount = np.append(0, np.stack([after - lengths, after], axis=1))
    ends = np.add(starts, window)
    return (np.interp(ends, time, amount) - np.interp(starts, time, amount)) / RATE


def cut(samples: np.ndarray, start: int, window: int) -> np.ndarray:
    """`window` samples from `start`; what is too short is repeated from its beginning."""
    piece = samples[start : start + window]
    return piece if len(piece) == window else np.resize(piece, window)


def check_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
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
    described = [
        f"{len(k)} {what} ({', '.join(k[:4])}{', ...' if k[4:] else ''})"
        for what, k in faults.items()
        if k
    ]
    if described:
        raise ValueError(f"The weights do not fit the architecture: {'; '.join(described)}.")
