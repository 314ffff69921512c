"""Headers come from strangers: whatever bytes they hold, a reader answers, and keeps its place."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.audio.chained import recordings
from detectors.audio.durations import mp3_promise, ogg_ends
from detectors.audio.pcm import pcm_blocks, pcm_layout

CHUNK = st.builds(
    lambda name, size, body: name + size.to_bytes(4, "little") + body,
    st.sampled_from([b"fmt ", b"data", b"JUNK", b"LIST"]),
    st.sampled_from([0, 1, 16, 40, 0x7FFFFFFF, 0xFFFFFFFF]),
    st.binary(max_size=50),
)
WAV = st.lists(CHUNK, max_size=5).map(lambda chunks: b"RIFF\0\0\0\0WAVE" + b"".join(chunks))
MP3 = st.builds(
    lambda tag, frame, xing, rest: tag + frame + xing + rest,
    st.sampled_from([b"", b"ID3\4\0\0\0\0\0\2\0\0"]),
    st.binary(max_size=64),
    st.sampled_from([b"Xing", b"Info"]),
    st.binary(max_size=20),
)
ANY = st.one_of(st.binary(max_size=80), WAV, MP3, st.binary(max_size=30).map(b"OggS".__add__))


@pytest.mark.parametrize(
    "ask",
    [ogg_ends, lambda file: mp3_promise(file, 44_100)],
    ids=["ogg_ends", "mp3_promise"],
)
@given(content=ANY, place=st.integers(0, 90))
def test_a_reader_answers_and_keeps_its_place(ask, content, place):
    file = io.BytesIO(content)
    file.seek(place)
    answer = ask(file)
    assert answer is None or answer >= 0
    assert file.tell() == place


@given(content=ANY)
def test_a_layout_lies_inside_the_file(content):
    file = io.BytesIO(content)
    layout = pcm_layout(file)
    if layout is not None:
        assert all(0 <= start < end <= len(content) for start, end in layout.spans)
        if layout.channels:
            blocks = list(pcm_blocks(file, layout, 7))
            assert sum(len(block) for block in blocks) * layout.frame <= len(content)


@given(content=st.one_of(ANY, st.lists(ANY, max_size=4).map(b"OggS".join)))
def test_recordings_behind_each_other_are_the_whole_file(content):
    sections = recordings(io.BytesIO(content))
    assert b"".join(section.read() for section in sections) == content
