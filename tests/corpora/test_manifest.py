"""A manifest becomes clips, and one that cannot be used is refused with a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpora.manifest import Clip, corpus_hash, read_manifest
from detectors.errors import HearsayError

FULL = """\
id,path,label,split,system,family,speaker,language,source,seconds,codec,licence
a1,clips/a.wav,bonafide,train,bonafide,bonafide,anna,en,github:x/y#demo,2.5,flac,CC0
b2,clips/b.wav,spoof,test,vits,tts,bert,de,github:x/z,,opus,CC0
"""


def write(folder: Path, text: str, *files: str, encoding: str = "utf-8") -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"audio")
    (folder / "m.csv").write_text(text, encoding=encoding)
    return folder / "m.csv"


def test_every_column_is_read_and_paths_are_relative_to_the_manifest(tmp_path, monkeypatch):
    write(tmp_path, FULL, "clips/a.wav", "clips/b.wav")
    monkeypatch.chdir(tmp_path.parent)
    real, fake = read_manifest(Path(tmp_path.name) / "m.csv")
    assert real == Clip(
        id="a1",
        path=tmp_path / "clips/a.wav",
        label="bonafide",
        split="train",
        system="bonafide",
        family="bonafide",
        speaker="anna",
        language="en",
        source="github:x/y#demo",
        seconds=2.5,
        codec="flac",
    )
    assert real.path.is_absolute()
    assert (real.is_spoof, real.repository) == (False, "github:x/y")
    assert (fake.is_spoof, fake.repository, fake.seconds) == (True, "github:x/z", None)


def test_three_columns_suffice(tmp_path):
    text = "path,label,speaker\na.wav,real,anna\nb.wav,fake,bert\n"
    real, fake = read_manifest(write(tmp_path, text, "a.wav", "b.wav"))
    assert (real.id, real.system, real.family) == ("a.wav", "bonafide", "bonafide")
    assert (fake.id, fake.system, fake.family) == ("b.wav", "unknown", "unknown")
    assert (fake.split, fake.source, fake.seconds, fake.codec) == ("", "", None, "")


@pytest.mark.parametrize(
    ("word", "label"),
    [("bonafide", "bonafide"), ("Bona-Fide", "bonafide"), ("REAL", "bonafide"), ("Fake", "spoof")],
)
def test_the_usual_label_words_are_understood(tmp_path, word, label):
    clips = read_manifest(write(tmp_path, f"path,label,speaker\na.wav,{word},x\n", "a.wav"))
    assert clips[0].label == label


def test_a_spreadsheets_byte_order_mark_and_blanks_are_no_obstacle(tmp_path):
    text = "path, label ,speaker\n a.wav , spoof,x\n"
    clips = read_manifest(write(tmp_path, text, "a.wav", encoding="utf-8-sig"))
    assert clips[0].path == tmp_path / "a.wav"


def test_an_unknown_speaker_is_named_after_its_source_or_else_its_clip(tmp_path):
    text = "path,label,speaker,source\na.wav,real,,github:x/y\nb.wav,real,,\nc.wav,real\n"
    clips = read_manifest(write(tmp_path, text, "a.wav", "b.wav", "c.wav"))
    assert [clip.speaker for clip in clips] == ["github:x/y", "b.wav", "c.wav"]


def test_one_split_is_chosen_and_only_its_files_must_be_there(tmp_path):
    manifest = write(tmp_path, FULL, "clips/b.wav")
    assert [clip.id for clip in read_manifest(manifest, "test")] == ["b2"]


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("path,label\na.wav,real\n", None, "lacks the column 'speaker'"),
        ("", None, "lacks the column 'path'"),
        ("path,label,speaker\n", None, "holds no clips"),
        ("path,label,speaker\na.wav,maybe,x\n", None, "row 1: the label 'maybe' is neither"),
        ("path,label,speaker\n,real,x\n", None, "row 1: the path is empty"),
        ("path,label,speaker\na.wav,real,x\na.wav,real,y\n", None, "two clips with the id 'a.wav'"),
        ("path,label,speaker\na.wav,real,x\nc.wav,real,x\nd.wav,real,x\n", None, "2 of 3 audio"),
        ("path,label,speaker\nc.wav,real,x\n", None, r"the first is .*c\.wav"),
        ("path,label,speaker,seconds\na.wav,real,x,long\n", None, "'long' is not a length"),
        ("path,label,speaker,seconds\na.wav,real,x,nan\n", None, "'nan' is not a length"),
        ("path,label,speaker,split\na.wav,real,x,dev\n", "test", "split 'test': it has dev"),
        ("path,label,speaker\na.wav,real,x\n", "test", "none of its clips names a split"),
        ("path,label,speaker,split\na.wav,real,Smith, John,train\n", None, "row 1: there are 5"),
        ("path;label;speaker\na.wav;real;Smith; John\n", None, "row 1: there are 4"),
        ("path,label,speaker,label\na.wav,real,x,fake\n", None, "the column 'label' twice"),
        (f"path,label,speaker\n{'x' * 5000}.wav,real,x\n", None, "1 of 1 audio files"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, text, split, message):
    manifest = write(tmp_path, text, "a.wav")
    with pytest.raises(HearsayError, match=message) as refusal:
        read_manifest(manifest, split)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(tmp_path, encoding, delimiter):
    text = 'path,label,speaker,,\na.wav,real,"Smith, Zoë",,\n,,,,\n\nb.wav,fake,bert\n,,,,\n'
    if delimiter != ",":
        text = text.replace(", ", "@").replace(",", delimiter).replace("@", ", ")
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    clips = read_manifest(write(tmp_path, mark + text, "a.wav", "b.wav", encoding=encoding))
    assert [(clip.id, clip.speaker) for clip in clips] == [
        ("a.wav", "Smith, Zoë"),
        ("b.wav", "bert"),
    ]


def test_rows_are_counted_with_the_empty_ones(tmp_path):
    with pytest.raises(HearsayError, match="row 3: the label 'maybe'"):
        read_manifest(
            write(tmp_path, "path,label,speaker\na.wav,real,x\n,,\na.wav,maybe,x\n", "a.wav")
        )


def test_a_manifest_that_is_no_csv_file_is_refused(tmp_path):
    with pytest.raises(HearsayError, match="There is no manifest"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(HearsayError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "m.csv").write_bytes(b"path,label,speaker\n\xff\xfe,real,x\n")
    with pytest.raises(HearsayError, match="cannot be read"):
        read_manifest(tmp_path / "m.csv")


def test_the_corpus_hash_follows_what_the_clips_are_and_not_where_they_lie(tmp_path):
    clips = read_manifest(write(tmp_path, FULL, "clips/a.wav", "clips/b.wav"))
    moved = [replace(clip, path=Path("/elsewhere")) for clip in reversed(clips)]
    assert corpus_hash(moved) == corpus_hash(clips)
    assert len(corpus_hash(clips)) == 64
    for change in ({"label": "spoof"}, {"split": "dev"}, {"system": "x"}, {"speaker": "x"}):
        assert corpus_hash([replace(clips[0], **change), clips[1]]) != corpus_hash(clips)
