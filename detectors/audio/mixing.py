"""Blocks of any rate and channels to one channel at 16 kHz, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import soxr

from .waveform import RATE, AudioError

BLOCK = 1 << 16  # samples per channel that are handled in one go
MOST_CHANNELS = 8
RATES = (4_000, 768_000)  # Hz, lowest and highest original rate
# The largest level that a codec can write, where that is below the 32767/32768 of 16 bits.
FULL_SCALE = {"pcm_u8": 127 / 128, "pcm_s8": 127 / 128, "pcm_mulaw": 0.98, "pcm_alaw": 0.984}
FRAME = 1024  # samples in which channels cancel out or not
CANCELLED = 0.1  # of the power that independent channels leave in their mean
LOST = 0.1  # share of the energy that may lie in frames where they cancel out

Block = tuple[int, np.ndarray]  # sample rate, and samples of shape (n, channels) float32


@dataclass
class Levels:
    """What is measured of the original samples on the way.

    Attributes:
        seconds: Length.
        peak: Largest level, 1.0 being full scale.
        independent: The energy that the mean of the channels has if they are independent.
        cancelled: The part of it in frames where they cancel out.
        energies: (MOST_CHANNELS,) energy of each channel.
    """

    codec: str
    seconds: float = 0.0
    peak: float = 0.0
    samples: int = 0
    at_full_scale: int = 0
    independent: float = 0.0
    cancelled: float = 0.0
    energies: np.ndarray = field(default_factory=lambda: np.zeros(MOST_CHANNELS))

    @property
    def clipped(self) -> float:
        """Share of the samples at full scale; none where floats go beyond it uncut."""
        if self.codec.startswith("pcm_f") and self.peak > 1:
            return 0.0
        return self.at_full_scale / max(1, self.samples)

    @property
    def channel_instead(self) -> int | None:
        """The first loud channel where much is cancelled out in the mean, else None."""
        if self.cancelled > LOST * self.independent:
            return int(np.argmax(self.energies >= 0.9 * self.energies.max()))
        return None

    def measure(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Take in a block and its mean.

        Raises:
            AudioError: Samples are not finite, or about to overflow.
        """
        level = np.abs(block)
        top = float(level.max())
        if not top < 1e30:
            raise AudioError("not-finite", "The recording holds NaN or infinite samples.")
        self.peak = max(self.peak, top)
        self.samples += block.size
        full_scale = FULL_SCALE.get(self.codec, 32767 / 32768)
        self.at_full_scale += int((level >= full_scale).sum())
        channels = block.shape[1]
        if channels > 1:
            frames = np.arange(0, len(block), FRAME)
            energies = np.add.reduceat(np.square(block, dtype=np.float64), frames)
            left = np.add.reduceat(np.square(mono, dtype=np.float64), frames)
            independent = energies.sum(axis=1) / channels**2
            self.energies[:channels] += energies.sum(axis=0)
            self.independent += float(independent.sum())
            self.cancelled += float(independent[left < CANCELLED * independent].sum())


def mix(
    blocks: Iterable[Block],
    levels: Levels,
    limit: float,
    channel: int | None,
    write: Callable[[np.ndarray], object],
) -> None:
    """Convert blocks, whose format may change midway, to one channel at 16 kHz.

    Args:
        blocks: The original samples.
        levels: Where they are measured.
        limit: Seconds at which decoding stops.
        channel: The one to take; None for the mean over all.
        write: Is given (n,) float32 again and again.

    Raises:
        AudioError: The recording is longer than the limit, has an unusual rate or number of
            channels, or samples that are not finite.
    """
    resampler, rate = None, RATE
    for now, block in _batched(blocks):
        check_format(now, block.shape[1])
        if now != rate:
            if resampler:
                write(resampler.resample_chunk(np.empty(0, np.float32), last=True))
            rate = now
            resampler = None
        if resampler is None and rate != RATE:
            resampler = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
        mono = block.mean(axis=1, dtype=np.float32)
        levels.measure(block, mono)
        levels.seconds += len(block) / rate
        if levels.seconds > limit:
            raise too_long(limit)
        if channel is not None and channel < block.shape[1]:
            mono = np.ascontiguousarray(block[:, channel])
        write(resampler.resample_chunk(mono) if resampler else mono)
    if resampler:
        write(resampler.resample_chunk(np.empty(0, np.float32), last=True))


def check_format(rate: int, channels: int) -> None:
    """Raise AudioError for a rate or a number of channels that is not read here."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(
            "unreadable",
            f"The recording has {channels} channels; 1 to {MOST_CHANNELS} can be read.",
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            "unreadable",
            f"The recording has a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} Hz can be "
            "read.",
        )


def too_long(limit: float) -> AudioError:
    """The error of a recording longer than `limit` seconds."""
    length = f"{limit / 60:g} minutes" if limit >= 120 else f"{limit:g} s"
    return AudioError("too-long", f"The recording is longer than the limit of {length}.")


def _batched(blocks: Iterable[Block]) -> Iterator[Block]:
    """Join small blocks of one format to ones of BLOCK frames or more; none is empty."""
    waiting: list[np.ndarray] = []
    frames, form = 0, (0, 0)
    for rate, block in blocks:
        if (rate, block.shape[1]) != form:
            if frames:
                yield form[0], np.concatenate(waiting)
            waiting, frames, form = [], 0, (rate, block.shape[1])
        waiting.append(block)
        frames += len(block)
        if frames >= BLOCK:
            yield rate, np.concatenate(waiting)
            waiting, frames = [], 0
    if frames:
        yield form[0], np.concatenate(waiting)
