"""Long recordings: as long as asked, at one level, and synthetic where they say so."""

from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import fake
from voice import voice

from corpora.long_recordings import (
    APART_S,
    LENGTHS_S,
    MOST_FAKE,
    join,
    long_recordings,
    place_stretches,
    systems,
    voices,
)
from corpora.manifest import Clip

RATE = 16_000


def clip(name: str, speaker: str, system: str = "bonafide", source: str = "studio#1") -> Clip:
    label = "bonafide" if system == "bonafide" else "spoof"
    return Clip(name, Path("nowhere"), label, system=system, speaker=speaker, source=source)


CLIPS = [
    *(clip(f"ann-{i}", "ann") for i in range(3)),
    *(clip(f"ann-buzz-{i}", "ann", "buzz") for i in range(3)),
    clip("bob", "bob", source="street#1"),
    clip("cat", "cat", source="street#2"),
    clip("dan", "dan", source="street"),
    clip("eve", "eve", source="alone"),
]


@pytest.fixture(scope="module")
def audio():
    real = {c.id: voice(2.5, seed=i) * (0.2 + 0.3 * i) for i, c in enumerate(CLIPS)}
    return {c.id: fake(real[c.id]) if c.is_spoof else real[c.id] for c in CLIPS}


@pytest.fixture(scope="module")
def made(audio):
    return list(long_recordings(CLIPS, audio, 20))


def test_a_voice_is_a_speaker_with_clips_enough_or_a_source():
    assert {name: len(own) for name, own in voices(CLIPS).items()} == {"ann": 3, "street": 3}
    assert set(systems(CLIPS)) == {"buzz"}


def test_every_voice_is_there_real_and_partly_fake_and_every_system_fake(made):
    kinds = [(r.voice, r.label) for r in made]
    voices_ = [(name, label) for name in ("ann", "street") for label in ("bonafide", "partial")]
    assert kinds == [*voices_, ("buzz", "spoof")]
    assert all(len(r.samples) == 20 * RATE and r.samples.dtype == np.float32 for r in made)


def test_a_partial_recording_differs_where_it_says_and_nowhere_else(audio):
    def partial(clips, seed):
        made = long_recordings(clips, audio, 30, seed)
        return next(r for r in made if r.label == "partial")

    # the host and the places are drawn before what is put there
    pairs = ((partial(CLIPS[:6], seed), partial(CLIPS[:3], seed)) for seed in range(9))
    fake_of, copied = next((a, b) for a, b in pairs if a.systems != b.systems)
    assert "buzz" in fake_of.systems and fake_of.stretches == copied.stretches
    inside = np.zeros(30 * RATE, dtype=bool)
    for start_s, end_s in copied.stretches:
        inside[round(start_s * RATE) : round(end_s * RATE)] = True
    assert np.array_equal(fake_of.samples[~inside], copied.samples[~inside])
    assert not np.array_equal(fake_of.samples[inside], copied.samples[inside])


def test_recordings_are_a_function_of_the_seed(made, audio):
    again = list(long_recordings(CLIPS, audio, 20))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(made, again, strict=True))
    other = next(long_recordings(CLIPS, audio, 20, seed=1))
    assert not np.array_equal(made[0].samples, other.samples)


def test_pieces_are_joined_at_one_level():
    joined = join([0.01 * voice(3, seed=1), voice(3, seed=2)], 6, np.random.default_rng(0))
    first, last = joined[: 3 * RATE], joined[-2 * RATE :]
    assert 0.5 < np.sqrt(np.mean(first**2) / np.mean(last**2)) < 2


@pytest.mark.parametrize("seconds", [15, 20, 60, 300])
def test_stretches_lie_apart_and_leave_most_of_it_real(seconds):
    for seed in range(100):
        spans = place_stretches(seconds, np.random.default_rng(seed))

        assert 1 <= len(spans) <= 3
        assert all(round(b - a, 2) in LENGTHS_S for a, b in spans)
        gaps = np.append(0, [*np.ravel(spans).tolist(), seconds])
        assert np.all(gaps[1::2] - gaps[::2] >= APART_S - 0.02)
        assert sum(b - a for a, b in spans) <= max(MOST_FAKE * seconds, LENGTHS_S[0])
