"""Masking: windows of time that a game switches on and off, and the baseline that stands in.

A switched-off window is replaced by a baseline, cross-faded over a short raised cosine at each
seam. The cross-fades of neighbours add up to one, so with all players on the clip returns bit by
bit, and with all off the baseline does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform, read

from ..explanation import ExplainError

N_FFT = 512  # 32 ms: harmonics of a voice stand apart
HOP = N_FFT // 4
EXAMPLES = Path(__file__).parents[2] / "page" / "examples"
RAMP_S = 0.010  # long enough not to click, short against a syllable


@dataclass(frozen=True, eq=False)
class Windows:
    """`count` equal windows across n samples, with ramps at the inner seams.

    edges: (count + 1,) samples. At sample i the window `left[i]` fades into `right[i]` by the
    share `fade[i]`; away from the seams both are the same window.
    """

    edges: np.ndarray
    left: Tensor
    right: Tensor
    fade: Tensor

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    def weights(self, coalitions: Tensor) -> Tensor:
        """(k, count) bool -> (k, n) share of the clip at each sample, exactly 0 and 1 off seams."""
        on = coalitions.to(self.fade.dtype)
        left, right = on[:, self.left], on[:, self.right]
        return left + (right - left) * self.fade

    def mask(self, x: Tensor, baseline: Tensor, coalitions: Tensor) -> Tensor:
        """Clip (n,), baseline (n,), coalitions (k, count) bool -> waveforms (k, n)."""
        weight = self.weights(coalitions)
        return x * weight + baseline * (1 - weight)


def windows(n: int, count: int, ramp_s: float = RAMP_S) -> Windows:
    """Cut n samples into `count` windows; ExplainError when one would be shorter than its ramps."""
    ramp = round(ramp_s * RATE)
    if count < 2 or n < count * max(ramp, 1):
        raise ExplainError(
            f"{count} windows do not fit: from 2 to {n // max(ramp, 1)} do in {n / RATE:.1f} s."
        )
    edges = np.round(np.linspace(0, n, count + 1)).astype(np.int64)
    left = np.repeat(np.arange(count), np.diff(edges))
    right, fade = left.copy(), np.zeros(n, dtype=np.float32)
    for seam in range(1, count):
        first = edges[seam] - ramp // 2
        spot = slice(first, first + ramp)
        left[spot], right[spot] = seam - 1, seam
        fade[spot] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / max(ramp, 1))
    return Windows(edges, torch.from_numpy(left), torch.from_numpy(right), torch.from_numpy(fade))


def background(x: Tensor) -> Tensor:
    """Magnitude per frequency of the clip's own background, (N_FFT // 2 + 1,).

    The shape is the clip's long-term spectrum, the level that of its tenth-percentile frame: what
    one hears between the words. A clip of digital pauses gets a floor 60 dB below its own level.
    Units are those of `stft`.
    """
    spectrum = stft(x[None])[0].abs()  # (bins, frames)
    power = spectrum.square().mean(dim=0)
    level = torch.quantile(power, 0.1).clamp_min(1e-6 * power.mean().clamp_min(1e-12))
    shape = spectrum.square().mean(dim=1).sqrt()
    return shape * (level / shape.square().mean().clamp_min(1e-12)).sqrt()


def noise(x: Tensor, seed: int = 0, bank: Sequence[Waveform] = ()) -> Tensor:
    """Background noise for the clip x (n,): Gaussian noise in the spectrum of `background`."""
    white = torch.randn(len(x), generator=torch.Generator().manual_seed(seed))
    profile = background(x)
    window_power = torch.hann_window(N_FFT).square().sum()  # E|STFT|^2 of unit white noise
    gain = (profile / window_power.sqrt())[None, None]
    bins = len(x) // 2 + 1
    gain = torch.nn.functional.interpolate(gain, size=bins, mode="linear", align_corners=True)
    return torch.fft.irfft(torch.fft.rfft(white) * gain[0, 0], n=len(x))


def zeros(x: Tensor, seed: int = 0, bank: Sequence[Waveform] = ()) -> Tensor:
    """Digital silence: simple, and far from anything that a detector was trained on."""
    return torch.zeros_like(x)


def bona_fide(x: Tensor, seed: int = 0, bank: Sequence[Waveform] = ()) -> Tensor:
    """Somebody else's real speech: a random segment of a random clip of the bank, at x's level."""
    clips = [clip.samples for clip in bank or example_bank()]
    rng = np.random.default_rng(seed)
    clip = clips[rng.integers(len(clips))]
    segment = np.resize(np.roll(clip, -int(rng.integers(len(clip)))), len(x))
    other = torch.from_numpy(np.ascontiguousarray(segment, dtype=np.float32))
    return other * (x.square().mean() / other.square().mean().clamp_min(1e-12)).sqrt()


def example_bank() -> list[Waveform]:
    """The real voices among the program's own examples; ExplainError where they are not there."""
    paths = sorted(EXAMPLES.glob("*-real.flac"))
    if not paths:
        raise ExplainError("The baseline 'bank' needs real clips: give them as bank=[read(FILE)].")
    return [read(path) for path in paths]


BASELINES: dict[str, Callable[[Tensor, int, Sequence[Waveform]], Tensor]] = {
    "noise": noise,
    "zeros": zeros,
    "bank": bona_fide,
}


def baseline(
    x: Tensor, name: str = "noise", seed: int = 0, bank: Sequence[Waveform] = ()
) -> Tensor:
    """What replaces the clip x (n,) where it is switched off: one of `BASELINES`.

    seed: of the noise, or of the draw from the bank. bank: bona fide clips to draw from; the
    program's own examples if it is empty. Raises ExplainError.
    """
    if name not in BASELINES:
        raise ExplainError(f"There is no baseline '{name}'; there are {', '.join(BASELINES)}.")
    return BASELINES[name](x, seed, bank)


def stft(x: Tensor) -> Tensor:
    """(b, n) -> complex (b, N_FFT // 2 + 1, n // HOP + 1), Hann window."""
    window = torch.hann_window(N_FFT)
    return torch.stft(x, N_FFT, HOP, window=window, center=True, return_complex=True)


def istft(spectrum: Tensor, n: int) -> Tensor:
    """Inverse of `stft`: complex (b, bins, frames) -> (b, n)."""
    return torch.istft(spectrum, N_FFT, HOP, window=torch.hann_window(N_FFT), length=n)
