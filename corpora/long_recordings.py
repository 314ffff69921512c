"""Long recordings joined from a corpus's clips: real, fake, and real with synthetic stretches.

A corpus of short clips has little of one speaker. A recording is therefore of one speaker where he
has `FEWEST` clips, else of the speakers of one source, whose rooms and channels are alike; his
clips come again, in another order, until it is long enough. What is synthetic in a real recording
is a fake of one of its speakers where the corpus has one, else of its source, else copy synthesis
of the recording itself.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.audio import RATE

from .fakers import FAKERS
from .manifest import Clip
from .partial_spoof import splice

Span = tuple[float, float]  # start and end in seconds

FEWEST = 3  # clips that a voice, or a system, has at least
LEVEL_RMS = 0.05  # of every clip, as the detectors level what they hear
PAUSE_S = 0.2, 0.9  # between two clips
LENGTHS_S = 2, 3, 5, 10, 20  # of synthetic stretches
MOST_FAKE = 0.4  # share of a partly fake recording
APART_S = 4.0  # real speech between two stretches, and at both ends
COPIES = "griffin-lim", "world", "sinusoidal"


@dataclass(frozen=True)
class LongRecording:
    """A joined recording and its ground truth.

    Attributes:
        voice: The speaker or source that all of it comes from: what is drawn for intervals.
        label: "partial" for a real one with synthetic stretches.
        samples: (n,) float32 at 16 kHz.
        stretches: What is synthetic in a partial one.
        systems: What made each stretch.
    """

    voice: str
    label: Literal["bonafide", "spoof", "partial"]
    samples: np.ndarray
    stretches: tuple[Span, ...] = ()
    systems: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def voices(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Bona fide clips by speaker, or by source where a speaker has under `FEWEST`."""
    real = [clip for clip in clips if not clip.is_spoof]
    speakers = _grouped(real, [clip.speaker for clip in real])
    alone = {clip.id for own in speakers.values() for clip in own}
    rest = [clip for clip in real if clip.id not in alone]
    return speakers | _grouped(rest, [clip.repository for clip in rest])


def systems(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Spoofed clips by the system that made them, of those with `FEWEST` or more."""
    fake = [clip for clip in clips if clip.is_spoof]
    return _grouped(fake, [clip.system for clip in fake])


def _grouped(clips: Sequence[Clip], names: Sequence[str]) -> dict[str, list[Clip]]:
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip, name in zip(clips, names, strict=True):
        groups[name].append(clip)
    return {name: own for name, own in sorted(groups.items()) if name and len(own) >= FEWEST}


def long_recordings(
    clips: Sequence[Clip], audio: Mapping[str, np.ndarray], seconds: float, seed: int = 0
) -> Iterator[LongRecording]:
    """Of every voice a real and a partly fake recording, of every system a fake one.

    Args:
        clips: Of one split, so that nothing is heard that a detector was trained on.
        audio: id -> (n,) float32 at 16 kHz.
        seconds: Length of each recording, 15 or more, to a sample.
        seed: Of orders, pauses, places and systems. A recording is a function of it, of the
            length and of its own clips.
    """
    for name, own in voices(clips).items():
        rng = _rng(seed, name, seconds)
        yield LongRecording(name, "bonafide", _joined(own, audio, seconds, rng))
        host = _joined(own, audio, seconds, rng)
        yield _partial(name, host, _fakes_of(own, clips), audio, rng)
    for name, own in systems(clips).items():
        joined = _joined(own, audio, seconds, _rng(seed, name, seconds))
        yield LongRecording(name, "spoof", joined, systems=(name,))


def join(pieces: Sequence[np.ndarray], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Pieces (n,) at one level, in a drawn order that is drawn again when all were heard.

    Pauses between them hold noise as loud as what is quietest in the piece before.
    """
    wanted = round(seconds * RATE)
    parts: list[np.ndarray] = []
    order: list[int] = []
    while sum(map(len, parts)) < wanted:
        order = order or rng.permutation(len(pieces)).tolist()
        piece = _levelled(pieces[order.pop()])
        hiss = rng.standard_normal(round(rng.uniform(*PAUSE_S) * RATE)) * _floor(piece)
        parts += [piece, hiss.astype(np.float32)]
    return np.concatenate(parts)[:wanted]


def _joined(
    clips: Sequence[Clip],
    audio: Mapping[str, np.ndarray],
    seconds: float,
    rng: np.random.Generator,
) -> np.ndarray:
    return join([audio[clip.id] for clip in clips], seconds, rng)


def _levelled(x: np.ndarray) -> np.ndarray:
    return (x * (LEVEL_RMS / max(float(np.sqrt(np.mean(np.square(x)))), 1e-9))).astype(np.float32)


def _floor(x: np.ndarray) -> float:
    """RMS of the quietest twentieth of x, in frames of 20 ms."""
    frame = RATE // 50
    frames = x[: len(x) // frame * frame].reshape(-1, frame)
    return float(np.quantile(np.sqrt(np.mean(np.square(frames), axis=1)), 0.05))


def _fakes_of(own: Sequence[Clip], clips: Sequence[Clip]) -> list[list[Clip]]:
    """Fakes of these speakers, one list a system; of their sources where there are none."""
    speakers, sources = {clip.speaker for clip in own}, {clip.repository for clip in own}
    fakes = [clip for clip in clips if clip.is_spoof]
    near = [clip for clip in fakes if clip.speaker in speakers]
    near = near or [clip for clip in fakes if clip.repository in sources]
    names = sorted({clip.system for clip in near})
    return [[clip for clip in near if clip.system == name] for name in names]


def _partial(
    voice: str,
    host: np.ndarray,
    fakes: Sequence[Sequence[Clip]],
    audio: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> LongRecording:
    """`host` with one to three synthetic stretches; every third is a copy of the host itself."""
    spans = place_stretches(len(host) / RATE, rng)
    made_by = []
    for start_s, end_s in spans:
        first, last = round(start_s * RATE), round(end_s * RATE)
        fake = np.zeros_like(host)
        if fakes and rng.random() < 2 / 3:
            own = fakes[int(rng.integers(len(fakes)))]
            made_by.append(own[0].system)
            fake[first:last] = _joined(own, audio, (last - first) / RATE, rng)
        else:
            faker = str(rng.choice(COPIES))
            made_by.append(f"copy-{faker}")
            fake[first:last] = FAKERS[faker](host[first:last], rng)
        host = splice(host, fake, start_s, end_s)
    return LongRecording(voice, "partial", host, spans, tuple(made_by))


def place_stretches(seconds: float, rng: np.random.Generator) -> tuple[Span, ...]:
    """One to three spans of `LENGTHS_S` in a recording, `APART_S` from each other and the ends."""
    lengths: list[float] = []
    for length in rng.choice(LENGTHS_S, rng.integers(1, 4)).tolist():
        if sum(lengths) + length <= min(
            MOST_FAKE * seconds, seconds - APART_S * (len(lengths) + 2)
        ):
            lengths.append(length)
    lengths = lengths or [LENGTHS_S[0]]
    free = seconds - sum(lengths) - APART_S * (len(lengths) + 1)
    gaps = APART_S + free * rng.dirichlet(np.ones(len(lengths) + 1))
    starts = np.cumsum(gaps[:-1]) + np.cumsum([0, *lengths[:-1]])
    return tuple((s, s + n) for s, n in zip(starts.round(2).tolist(), lengths, strict=True))


def _rng(seed: int, name: str, seconds: float) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode()), round(seconds)])
