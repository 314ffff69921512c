"""Replay the evidence: is what an explanation points at what decided?

The decisive parts of the explained segment are kept alone, and taken out, with the clip's own
background in the place of what is missing, and the detector scores both. Parts that decided carry
the verdict by themselves, and without them it weakens more than without as many other parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detectors.audio import RATE, Waveform
from detectors.detector import Detector

from .coalitions.masking import HOP, N_FFT, RAMP_S, baseline, istft
from .coalitions.segment import Segment
from .coalitions.spectrogram import BINS, Spectrum, spectrum
from .explanation import ExplainError, Explanation

LOTS = 4  # draws of other parts that the decisive ones are compared with
SHARE = 0.5  # the decisive parts carry this share of what speaks for the verdict
CELLS = 8  # segments and bands of a fine map: its own cells are too small to be heard
BIN_RAMP = 3  # bins of 31 Hz between a band that is kept and one that is not
GAP_S = 0.25  # pause between decisive seconds when they are played one after the other
FINE = 16  # a map with more rows or columns than this is fine


@dataclass(frozen=True)
class Part:
    """A segment of time, a band, or a band in a segment; value: logits towards fake."""

    start_s: float
    end_s: float
    low_hz: float
    high_hz: float
    value: float


@dataclass(frozen=True, eq=False)
class Take:
    """One version of the explained segment: samples (n,) at the clip's own level, and its LLR."""

    samples: np.ndarray
    llr: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """What became of the claim "these parts decided" on this clip.

    verdict: "fake" or "real", the segment's side of the detector's threshold. parts: what is
    claimed to have decided, strongest first. alone: (m,) samples of these parts and nothing else.
    original, kept (only the parts) and removed (all but the parts): the segment, re-scored.
    elsewhere: mean LLR without as many other parts, by `LOTS` lots; NaN if there are not as many.
    sufficient: the parts alone stay on that side. necessary: without them the LLR is further
    from the verdict than the original's and than `elsewhere`.
    """

    verdict: str
    parts: tuple[Part, ...]
    alone: np.ndarray
    original: Take
    kept: Take
    removed: Take
    elsewhere: float
    sufficient: bool
    necessary: bool

    @property
    def change(self) -> float:
        """How far the LLR moves when the parts are removed."""
        return self.removed.llr - self.original.llr

    @property
    def sentence(self) -> str:
        """Whether the claim held, with the figures that say so."""
        held = {2: "The claim holds", 1: "The claim holds in part", 0: "The claim does not hold"}
        by_lot = ""
        if np.isfinite(self.elsewhere):
            by_lot = f", and as much taken out elsewhere to {self.elsewhere:+.1f}"
        return (
            f"{held[self.sufficient + self.necessary]}: without these parts the LLR moves from "
            f"{self.original.llr:+.1f} to {self.removed.llr:+.1f}{by_lot}; these parts alone get "
            f"{self.kept.llr:+.1f}, which is on {'the same' if self.sufficient else 'the other'} "
            "side of the detector's line."
        )


def evidence(
    detector: Detector,
    wave: Waveform,
    explanation: Explanation,
    *,
    seed: int = 0,
    start_s: float | None = None,
) -> Evidence:
    """Keep and remove what an explanation of this clip calls decisive, and score both.

    Decisive are the strongest parts that speak for the verdict, as few as carry half of what does;
    they are windows, bands or patches as the explanation has them (a fine map is summed into 8
    bands by 8 segments). What is taken out becomes the baseline of `masking`, faded over at the
    seams; bands are masked in the STFT, with the phase kept. Costs seven forward passes.

    Args:
        seed: Of the background and of the other parts that are drawn.
        start_s: As it was for the explanation, if that has no times.

    Raises:
        ExplainError: The explanation has no time and no frequency axis, is of more than one window
            of the detector, or holds nothing that speaks for the verdict.
    """
    if explanation.times is not None:
        start_s = float(explanation.times[0])
    if start_s is not None:
        start_s = float(wave.position(start_s)) / RATE
    sound = spectrum(detector, wave, "noise", start_s)
    segment = sound.segment
    x = segment.samples
    values, times, freqs = _grid(explanation, wave, segment)
    detector = sound.detector  # a mask does not change how it hears what remains
    llr = _llr(detector, segment, x[None])[0]
    calibration = detector.config.calibration
    side = 1 if llr > calibration.threshold else -1
    verdict = "fake" if side > 0 else "real"
    chosen = _strongest(side * np.sign(calibration.scale) * values)
    if not chosen.any():
        raise ExplainError(
            f"Nothing in this explanation by {explanation.method} speaks for '{verdict}', "
            "so there is no evidence to hear."
        )
    lots = _lots(chosen, seed)

    behind = baseline(x, seed=seed)

    def masked(cells: np.ndarray, floor: float = 1.0) -> Tensor:
        if len(cells) == 1:  # all frequencies: no need to leave the time domain
            return _windows(x, floor * behind, cells[0], times)
        return _cells(sound, floor, cells, times, freqs)

    kept, removed = masked(chosen), masked(~chosen)
    kept_llr, removed_llr = _llr(detector, segment, torch.stack([kept, removed]))
    by_lot = [_llr(detector, segment, masked(~lot)[None])[0] for lot in lots]
    elsewhere = float(np.mean(by_lot)) if by_lot else float("nan")

    own = wave.samples[segment.start : segment.start + len(x)]
    unlevel = float(np.abs(own).max()) / max(float(x.abs().max()), 1e-12)
    alone = masked(chosen, floor=0.0).numpy() * unlevel
    return Evidence(
        verdict=verdict,
        parts=_parts(chosen, values, wave, segment.start + times, freqs),
        alone=_joined(alone, np.any(chosen, axis=0), times),
        original=Take(own, llr),
        kept=Take(kept.numpy() * unlevel, kept_llr),
        removed=Take(removed.numpy() * unlevel, removed_llr),
        elsewhere=elsewhere,
        sufficient=(kept_llr > calibration.threshold) == (side > 0),
        necessary=side * removed_llr < side * llr and not side * removed_llr >= side * elsewhere,
    )


def _llr(detector: Detector, segment: Segment, x: Tensor) -> list[float]:
    """Levelled versions of the segment (k, n) -> k LLRs."""
    calibration = detector.config.calibration
    with torch.inference_mode():
        logits = detector.logits(segment.fill(x), levelled=True).double()
    return [calibration.scale * logit + calibration.offset for logit in logits.tolist()]


def _grid(
    explanation: Explanation, wave: Waveform, segment: Segment
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (f, t), edges (t + 1,) in samples of the segment and (f + 1,) in Hz, none of it fine.

    An axis that the explanation lacks becomes one cell, the whole segment or every frequency.
    """
    n, values = len(segment.samples), explanation.values
    if explanation.times is None and explanation.freqs is None:
        raise ExplainError(
            f"An explanation by {explanation.method} is neither over time nor over frequency, "
            "so there is nothing in it to hear."
        )
    times, freqs = np.array([0.0, n]), np.array([0.0, RATE / 2])
    if explanation.freqs is None:
        values = values[None]
    else:
        freqs = explanation.freqs
    if explanation.times is None:
        values = explanation.values[:, None]
    else:
        times = wave.position(explanation.times) - segment.start
        if times[-1] > n + 1:
            raise ExplainError(
                "Evidence is heard in one window of the detector, and this explanation is of "
                f"{(times[-1] - times[0]) / RATE:.1f} s; explain one window."
            )
    values, freqs = _coarse(values, freqs)
    by_time, times = _coarse(values.T, times)
    return by_time.T, np.round(times).astype(np.int64).clip(0, n), freqs


def _coarse(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a fine map summed into `CELLS` equal ones: (rows, ...) and (rows + 1,) edges."""
    if len(values) <= FINE:
        return values, edges
    centres, coarse = (edges[:-1] + edges[1:]) / 2, np.linspace(edges[0], edges[-1], CELLS + 1)
    row = np.searchsorted(coarse[1:-1], centres, side="right")
    return np.stack([values[row == i].sum(axis=0) for i in range(CELLS)]), coarse


def _strongest(towards: np.ndarray) -> np.ndarray:
    """The fewest cells that carry `SHARE` of all that is positive, as bool of the same shape."""
    order = np.argsort(-towards, axis=None, kind="stable")
    pushes = np.maximum(towards.flat[order], 0)
    count = int(np.searchsorted(np.cumsum(pushes), SHARE * pushes.sum())) + 1
    chosen = np.zeros(towards.shape, dtype=bool)
    chosen.flat[order[:count]] = pushes[:count] > 0
    return chosen


def _lots(chosen: np.ndarray, seed: int) -> list[np.ndarray]:
    """`LOTS` times as many cells of those that are not chosen; none where there are fewer."""
    rest, rng = np.flatnonzero(~chosen), np.random.default_rng(seed)
    lots: list[np.ndarray] = []
    while len(rest) >= chosen.sum() and len(lots) < LOTS:
        lot = np.zeros(chosen.shape, dtype=bool)
        lot.flat[rng.choice(rest, int(chosen.sum()), replace=False)] = True
        lots.append(lot)
    return lots


def _windows(x: Tensor, behind: Tensor, chosen: np.ndarray, times: np.ndarray) -> Tensor:
    """(n,) with x in the chosen windows (t,) and `behind` elsewhere."""
    weight = _ramped(chosen[_cell(np.arange(len(x)), times)], round(RAMP_S * RATE))
    return behind + (x - behind) * torch.from_numpy(weight)


def _cells(
    sound: Spectrum, floor: float, chosen: np.ndarray, times: np.ndarray, freqs: np.ndarray
) -> Tensor:
    """(n,) with the sound's magnitudes in the chosen cells (f, t), `floor` times its floor in the
    others, and its own phase."""
    hz, n = np.arange(BINS) * RATE / N_FFT, len(sound.segment.samples)
    step = chosen[_cell(hz, freqs)][:, _cell(np.arange(n // HOP + 1) * HOP, times)]
    weight = torch.from_numpy(np.stack([_ramped(column, BIN_RAMP) for column in step.T], axis=1))
    behind = floor * sound.floor
    magnitude = behind + (sound.magnitude - behind) * weight
    return istft(magnitude * sound.phase, n)[0]


def _cell(at: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Cell that each position lies in; what is outside counts to the first or the last one."""
    return np.searchsorted(edges[1:-1], at, side="right")


def _ramped(step: np.ndarray, width: int) -> np.ndarray:
    """(n,) bool -> float32 from 0 to 1 with raised-cosine ramps over about `width` samples."""
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(step.astype(np.float32), (width // 2, (width - 1) // 2), mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _parts(
    chosen: np.ndarray, values: np.ndarray, wave: Waveform, edges: np.ndarray, freqs: np.ndarray
) -> tuple[Part, ...]:
    starts, ends = wave.recording_s(edges[:-1]), wave.recording_s(edges[1:], ending=True)
    parts = [
        Part(
            start_s=float(starts[t]),
            end_s=float(ends[t]),
            low_hz=float(freqs[f]),
            high_hz=float(freqs[f + 1]),
            value=float(values[f, t]),
        )
        for f, t in np.argwhere(chosen)
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.value)))


def _joined(x: np.ndarray, chosen: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The chosen segments of (n,) samples one after the other, a pause where there is a gap."""
    parts: list[np.ndarray] = []
    for i in np.flatnonzero(chosen):
        if parts and not chosen[i - 1]:
            parts.append(np.zeros(round(GAP_S * RATE), dtype=np.float32))
        parts.append(x[times[i] : times[i + 1]])
    return np.concatenate(parts)
