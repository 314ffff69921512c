"""Detectors on long recordings, wholly real, wholly fake and partly fake, joined from a corpus.

    recordings = scored_recordings(clips, detector, cache=Path("runs/windows"))
    calibration = fit(recordings, detector.config.calibration)  # on dev
    rows = measure(recordings, calibration)  # on test

Everything but the scoring works on the LLRs of windows. A corpus that holds half a minute of a
voice has no more than a minute's worth of different windows of it; recordings of 5 and 30 minutes
are therefore drawn from those, in blocks as long as a clip and more, so that neighbours stay
neighbours (Kuensch 1989, the block bootstrap). At penalties of 3, 2 and 1 nats, cnn-mel called 4, 8
and 12 % of 24 recordings of 5 minutes mixed that were joined from dev's clips and scored whole, and
5, 5 and 8 % of those that were drawn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, read_clip, refuse_unreadable
from corpora.channels import CONDITIONS
from corpora.long_recordings import LongRecording, long_recordings, systems, voices
from corpora.manifest import Clip
from detectors import Detector
from detectors.audio import RATE, read
from detectors.config import Calibration, StretchRule, pool
from detectors.detector import Window
from detectors.errors import HearsayError
from detectors.stretches import find_stretches

from . import metrics
from .window_cache import cached_score

CHANNELS = ("clean", "Opus 24 kbit/s", "MP3 32 kbit/s", "telephone")
MINUTE_S = 60.0
MINUTES = (1, 5, 30)
AMOUNTS_S = (2.0, 4.0, 15.0, 60.0)
BLOCK_S = 10.0
DRAWS = 8  # recordings of 5 and 30 minutes a voice
MOST_MIXED = 0.04  # share of wholly real recordings of dev that may be called mixed, at any length
PENALTIES = np.arange(2.0, 60.0, 0.5).tolist()  # nats
CORRELATIONS = np.linspace(0, 1, 51)


class Beginning(NamedTuple):
    """LLR of some seconds, not weighed by how much speech they hold, and the seconds of speech."""

    llr: float
    speech_s: float

    def weighed(self, calibration: Calibration) -> float:
        """The LLR that a detector of this calibration gives."""
        return self.llr * calibration.firmness(self.speech_s)


@dataclass(frozen=True)
class Scored:
    """A recording of a minute as a detector hears it.

    Attributes:
        recording: Its ground truth, without the samples.
        channel: One of CHANNELS, which it came through.
        windows: Of the minute.
        beginnings: Of its first so many seconds (AMOUNTS_S), unless it is partly fake.
    """

    recording: LongRecording
    channel: str
    windows: tuple[Window, ...]
    beginnings: Mapping[float, Beginning]


def scored_recordings(
    clips: Sequence[Clip],
    detector: Detector,
    cache: Path,
    most: int = 24,
    rounds: int = 1,
    seed: int = 0,
    max_unreadable: float = MAX_UNREADABLE,
) -> list[Scored]:
    """Join a split's clips to recordings of a minute, send them through channels and score them.

    Args:
        clips: Of one split, held out from training.
        cache: Folder for the logits of windows, see `cached_score`.
        most: Voices, and systems, that recordings are made of; drawn by `seed`.
        rounds: Recordings of every voice and system; each goes through the next channel.

    Raises:
        HearsayError: Too many clips cannot be read, or the split has no voice with clips enough.
    """
    drawn = _drawn(clips, most, seed)
    audio = _audio(drawn, max_unreadable)
    clips = [clip for clip in drawn if clip.id in audio]
    scored = []
    for n in range(rounds):
        made = list(long_recordings(clips, audio, MINUTE_S, seed + n))
        so_far: Counter[str] = Counter()
        for recording in tqdm(made, desc="recordings", mininterval=5):
            channel = CHANNELS[(so_far[recording.label] + n) % len(CHANNELS)]
            so_far[recording.label] += 1
            heard = CONDITIONS[channel](recording.samples, np.random.default_rng(seed))
            scored.append(_scored(recording, channel, heard, detector, cache))
    if {one.recording.label for one in scored} != {"bonafide", "spoof", "partial"}:
        raise HearsayError(
            "The split has too few clips: recordings are joined from three or more bona fide clips "
            "of one speaker or source, and from three or more of one system."
        )
    return scored


def _drawn(clips: Sequence[Clip], most: int, seed: int) -> list[Clip]:
    """The clips of so many voices and systems, and all fakes that can be put among the voices'."""
    rng = np.random.default_rng(seed)

    def some(groups: Mapping[str, Sequence[Clip]]) -> set[str]:
        names = sorted(groups)
        return {names[i] for i in rng.permutation(len(names))[:most]}

    by_voice, by_system = voices(clips), systems(clips)
    heard, made = some(by_voice), some(by_system)
    real = {clip.id for name in heard for clip in by_voice[name]}
    fake = {clip.id for name in made for clip in by_system[name]}
    return [clip for clip in clips if clip.id in real | fake]


def _audio(clips: Sequence[Clip], max_unreadable: float) -> dict[str, np.ndarray]:
    unreadable: dict[str, str] = {}
    waves = {clip.id: read_clip(clip, unreadable) for clip in clips}
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    return {name: wave.samples for name, wave in waves.items() if wave is not None}


def _scored(
    recording: LongRecording, channel: str, heard: np.ndarray, detector: Detector, cache: Path
) -> Scored:
    def begin(seconds: float) -> tuple[tuple[Window, ...], Beginning]:
        """Windows of the first so many seconds, read as any recording is."""
        wave = read((RATE, heard[: round(seconds * RATE)]), require_speech=False)
        windows = cached_score(wave, detector, cache).windows
        llr, votes = np.array([(window.llr, window.speech_s) for window in windows]).T
        return windows, Beginning(pool(detector.config.pooling, llr, votes), wave.heard_s)

    truth = replace(recording, samples=np.zeros(0, np.float32))
    amounts = AMOUNTS_S if recording.label != "partial" else ()
    beginnings = {seconds: begin(seconds)[1] for seconds in amounts}
    return Scored(truth, channel, begin(MINUTE_S)[0], beginnings)


# --- what dev decides ---


def fit(recordings: Sequence[Scored], calibration: Calibration, seed: int = 0) -> Calibration:
    """The calibration with a correlation and a rule for stretches that long recordings ask for.

    correlation: the one with the least Cllr, averaged over AMOUNTS_S. penalty: the least with which
    at most MOST_MIXED of the wholly real recordings are called mixed, at each length of MINUTES.
    """
    whole = [one for one in recordings if one.recording.label != "partial"]
    labels = np.array([one.recording.label == "spoof" for one in whole], dtype=np.int64)

    def cost(correlation: float) -> float:
        trial = replace(calibration, correlation=correlation)
        llrs = [[one.beginnings[s].weighed(trial) for one in whole] for s in AMOUNTS_S]
        return float(np.mean([metrics.cllr(llr, labels) for llr in llrs]))

    correlation = min(CORRELATIONS.tolist(), key=cost)
    variances = [np.var([window.llr for window in one.windows]) for one in whole]
    spread = float(np.sqrt(np.mean(variances)))
    real = [one for one in whole if one.recording.label == "bonafide"]
    drawn = [lengthened(real, minutes, seed) for minutes in MINUTES]

    def ruled(penalty: float) -> Calibration:
        rule = StretchRule(spread, penalty)
        return replace(calibration, correlation=correlation, stretches=rule)

    def keeps(penalty: float) -> bool:
        rates = [np.mean([_mixed(w, ruled(penalty)) for _, w in these]) for these in drawn]
        return bool(max(rates) <= MOST_MIXED)

    first = bisect_left(PENALTIES, True, key=keeps)
    if first == len(PENALTIES):
        raise HearsayError("No penalty keeps wholly real recordings from being called mixed.")
    return ruled(PENALTIES[first])


def _mixed(windows: Sequence[Window], calibration: Calibration) -> bool:
    return bool(find_stretches(windows, calibration))


def lengthened(
    recordings: Sequence[Scored], minutes: int, seed: int = 0
) -> list[tuple[str, list[Window]]]:
    """Voice and windows of recordings of so many minutes.

    One minute is as it was scored. More are drawn, `DRAWS` for every voice, in blocks of windows
    that follow each other, each from a recording of that voice in that channel.
    """
    if minutes == 1:
        return [(one.recording.voice, list(one.windows)) for one in recordings]
    long = []
    for i, one in enumerate(recordings):
        rng = np.random.default_rng([seed, minutes, i])
        for _ in range(DRAWS):
            long.append((one.recording.voice, _drawn_long(one.windows, minutes, rng)))
    return long


def _drawn_long(windows: Sequence[Window], minutes: int, rng: np.random.Generator) -> list[Window]:
    hop = float(np.median(np.diff([window.start_s for window in windows])))
    size = min(window.end_s - window.start_s for window in windows)
    wanted = int((60 * minutes - size) / hop) + 1
    block = max(1, round(BLOCK_S / hop))
    llr = np.array([window.llr for window in windows])
    firsts = rng.integers(0, max(1, len(llr) - block + 1), -(-wanted // block))
    drawn = np.concatenate([llr[first : first + block] for first in firsts])[:wanted]
    return [Window(i * hop, i * hop + size, float(v), size) for i, v in enumerate(drawn)]
