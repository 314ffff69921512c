"""Splits and folds keep sources, systems and speakers apart."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import soundfile
from voice import voice

from corpora.manifest import Clip, read_manifest
from corpora.splits import (
    check_disjoint,
    fold,
    folds,
    links,
    refuse_same_audio,
    system_key,
)
from detectors.errors import HearsayError

CORPUS = Path(__file__).parents[3] / "shared/corpus/manifest.csv"


def clip(name, label="spoof", split="", system="vits", speaker="anna", source="s"):
    system = system if label == "spoof" else "bonafide"
    return Clip(
        id=str(name),
        path=Path(f"/{name}.wav"),
        label=label,
        split=split,
        system=system,
        speaker=speaker,
        source=source,
    )


def separable(groups=20, size=6):
    """Groups of three bona fide and three spoofed clips that share nothing with one another."""
    return [
        clip(f"{g}-{i}", ("bonafide", "spoof")[i % 2], "", f"sys{g}", f"spk{g}", f"src{g}#{i}")
        for g in range(groups)
        for i in range(size)
    ]


def tangled(seed=0, count=600):
    """Clips of 40 sources; a voice and a vocoder are everywhere, so all hang together."""
    chance = random.Random(seed)
    made = []
    for i in range(count):
        source = chance.randrange(40)
        made.append(
            clip(
                i,
                chance.choice(["bonafide", "spoof"]),
                system="hifigan" if chance.random() < 0.3 else f"sys{source}",
                speaker="ljspeech" if chance.random() < 0.3 else f"spk{source}-{i % 3}",
                source=f"src{source}",
            )
        )
    return made


@pytest.mark.parametrize(
    ("system", "key"),
    [
        ("encodec-6kbps", "encodec"),
        ("dac-0.75kbps", "dac"),
        ("hifigan-v2", "hifigan"),
        ("bigvgan-base", "bigvgan"),
        ("kokoro-82m", "kokoro"),
        ("t5-tts+dac-7.75kbps", "t5-tts+dac"),
        ("tacotron2+hifigan", "tacotron2+hifigan"),
        ("freevc", "freevc"),
    ],
)
def test_editions_of_a_system_count_as_one(system, key):
    assert system_key(system) == key


def test_disjoint_splits_pass():
    check_disjoint(
        [
            clip(1, "spoof", "train", "vits", "anna", "a"),
            clip(2, "bonafide", "train", speaker="bert", source="a"),
            clip(3, "spoof", "test", "freevc", "carl", "b"),
            clip(4, "bonafide", "test", speaker="dora", source="b"),
            clip(5, "spoof", "", "vits", "anna", "b"),  # in no split: ties nothing
        ]
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"system": "vits"}, r"the system 'vits' \(dev and train\)"),
        ({"system": "vits-v2"}, r"the system 'vits' \(dev and train\)"),
        ({"speaker": "anna"}, r"the speaker 'anna' \(dev and train\)"),
        ({"source": "repo#other"}, r"the source 'repo' \(dev and train\)"),
        ({"speaker": "anna", "source": "repo"}, "the source 'repo' .*, speaker 'anna'"),
    ],
)
def test_what_stands_in_two_splits_is_refused_by_name(other, message):
    first = clip(1, "spoof", "train", "vits", "anna", "repo#demo")
    second = {"system": "freevc", "speaker": "bert", "source": "elsewhere"} | other
    with pytest.raises(HearsayError, match=message):
        check_disjoint([first, clip(2, "spoof", "dev", **second)])


def test_many_offenders_are_counted():
    clips = [
        clip(f"{s}{n}", "bonafide", s, speaker=f"v{n}", source=s) for s in "ab" for n in range(9)
    ]
    with pytest.raises(HearsayError, match="and 4 more"):
        check_disjoint(clips)


def test_unknown_systems_and_absent_sources_tie_nothing():
    check_disjoint(
        [
            clip(1, "spoof", "train", "unknown", "anna", ""),
            clip(2, "spoof", "dev", "unknown", "bert", ""),
            clip(3, "bonafide", "train", speaker="carl", source=""),
            clip(4, "bonafide", "dev", speaker="dora", source=""),
        ]
    )


def test_folds_of_separable_clips_hold_every_clip_once():
    clips = separable()
    parts = folds(clips, 5)
    assert sorted(i for part in parts for i in part) == list(range(len(clips)))
    assert [len(part) for part in parts] == [24] * 5
    for n in range(5):
        train, held_out = fold(clips, 5, n)
        assert len(train) == 96
        assert len(held_out) == 24


@pytest.mark.parametrize("seed", range(4))
def test_folds_share_no_link_even_where_all_clips_hang_together(seed):
    clips = tangled(seed)
    parts = folds(clips, 4)
    ties = [set().union(*(links(clips[i]) for i in part)) for part in parts]
    assert not any(a & b for a, b in combinations(ties, 2))
    assert sum(map(len, parts)) > len(clips) / 2
    for n, part in enumerate(parts):
        train, held_out = fold(clips, 4, n)
        assert held_out == [clips[i] for i in part]
        assert not set().union(*(links(c) for c in train)) & ties[n]
        assert {c.label for c in train} == {c.label for c in held_out} == {"bonafide", "spoof"}


def test_folds_are_the_same_each_time_and_do_not_touch_chance():
    clips = tangled()
    random.seed(1)
    first, after = folds(clips, 4), random.random()
    random.seed(1)
    assert random.random() == after
    assert folds(clips, 4) == first


def test_speakers_group_clips_without_sources():
    clips = [
        clip(i, ("bonafide", "spoof")[i % 2], system="unknown", speaker=f"v{i // 4}", source="")
        for i in range(40)
    ]
    parts = folds(clips, 3)
    assert sum(map(len, parts)) == 40
    voices = [{clips[i].speaker for i in part} for part in parts]
    assert sum(map(len, voices)) == 10


def test_folds_that_cannot_be_are_refused():
    with pytest.raises(HearsayError, match="cannot make 1 folds"):
        folds(separable(), 1)
    with pytest.raises(HearsayError, match="cannot make 7 folds"):
        folds(separable(1), 7)
    with pytest.raises(HearsayError, match="would not hold both labels"):
        folds(separable(2), 3)
    with pytest.raises(HearsayError, match="no fold 5 among 5"):
        fold(separable(), 5, 5)


@pytest.mark.skipif(not CORPUS.is_file(), reason="the corpus is not beside the repository")
def test_the_corpus_is_disjoint_and_its_folds_are_large_enough_to_rank_by():
    clips = read_manifest(CORPUS)
    check_disjoint(clips)
    train = [c for c in clips if c.split == "train"]
    for n in range(5):
        kept, held_out = fold(train, 5, n)
        assert len(kept) > 2000
        assert len(held_out) > 250


def test_names_are_compared_without_case_and_blanks():
    clips = [
        clip(0, split="train", speaker="Anna  Smith"),
        clip(1, split="dev", speaker="anna smith"),
    ]
    clips[1] = replace(clips[1], system="x", source="y")
    with pytest.raises(HearsayError, match="speaker 'anna smith'"):
        check_disjoint(clips)


@pytest.mark.parametrize("change", [{"split": "dev"}, {"label": "bonafide"}])
def test_one_recording_has_one_split_and_one_label(tmp_path, change):
    pair = [replace(clip(n, split="train"), path=tmp_path / f"{n}.wav") for n in range(2)]
    for one in pair:
        soundfile.write(one.path, voice(1.0), 16_000)
    refuse_same_audio(pair)
    pair[1] = replace(pair[1], **change)
    with pytest.raises(HearsayError, match="are the same recording"):
        refuse_same_audio(pair)
    soundfile.write(pair[1].path, voice(1.0, seed=1), 16_000)
    refuse_same_audio(pair)


def test_what_is_no_recording_is_left_to_whoever_counts_the_unreadable(tmp_path):
    pages = [replace(clip(n, split="train"), path=tmp_path / f"{n}.wav") for n in range(2)]
    for one in pages:
        one.path.write_bytes(b"<html>404: no such recording</html>")
    refuse_same_audio([pages[0], replace(pages[1], label="bonafide")])
