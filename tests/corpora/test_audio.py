"""The sound of a corpus: every clip that can be read is, by the reader of the page."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from sounds import VOICE, every_format
from tiny_corpus import tiny_corpus

from corpora.audio import decode_all, read_clip
from corpora.manifest import Clip, read_manifest
from detectors.audio import read
from detectors.errors import HearsayError


def clip(path) -> Clip:
    return Clip(id=path.name, path=path, label="bonafide")


def test_a_clip_is_what_the_page_reads(tmp_path):
    for name, data in every_format(tmp_path).items():
        if name == "adpcm":
            continue
        path = tmp_path / f"clip-{name}.raw"  # the name says nothing
        path.write_bytes(data)
        wave = read_clip(clip(path), {})
        assert wave is not None and np.array_equal(wave.samples, read(path).samples)


def test_a_clip_may_be_short_or_without_speech(tmp_path):
    for name, x in (("short", VOICE[:800]), ("silent", np.zeros(16_000))):
        soundfile.write(tmp_path / f"{name}.flac", x, 16_000)
        wave = read_clip(clip(tmp_path / f"{name}.flac"), {})
        assert wave is not None and len(wave.samples) == len(x)


@pytest.mark.parametrize("samples", [np.zeros(0), np.array([0.1, np.nan]), np.array([np.inf])])
def test_a_clip_without_sound_is_left_out_by_name(samples, tmp_path, capsys):
    soundfile.write(tmp_path / "bad.wav", samples, 16_000, subtype="FLOAT")
    unreadable: dict[str, str] = {}
    assert read_clip(clip(tmp_path / "bad.wav"), unreadable) is None
    assert list(unreadable) == ["bad.wav"] and "bad.wav was left out" in capsys.readouterr().err


def test_a_corpus_with_some_unreadable_clips_is_used_without_them(tmp_path):
    clips = read_manifest(tiny_corpus(tmp_path))  # 24 clips
    clips[3].path.write_bytes(b"no sound")
    kept, audio = decode_all(clips)
    assert kept == [*clips[:3], *clips[4:]] and len(audio) == 23
    assert audio[0].dtype == np.int16
    assert len(audio[0]) == len(read(clips[0].path).samples) > 20_000  # of 24,000, some of it quiet
    clips[7].path.write_bytes(b"")
    with pytest.raises(HearsayError, match=f"2 of 24 clips cannot be read.*{clips[3].id}"):
        decode_all(clips)
    assert len(decode_all(clips, max_unreadable=0.1)[0]) == 22
