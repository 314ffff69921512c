"""Explanation: written and read back unchanged, and summed up by its strongest seconds."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from explain import ExplainError, Explanation, decisive_seconds
from explain.explanation import over_time

TIME = Explanation(
    method="shapley-time",
    detector="cnn",
    values=np.array([0.1, -2.0, 1.5]),
    times=np.array([1.0, 2.0, 3.0, 4.0]),
    freqs=None,
    full=-0.4,
    empty=0.0,
    residual=1e-9,
    forwards=8,
    notes=("Explained is 1.0 to 4.0 s.",),
)


def picture() -> Explanation:
    values = np.zeros((4, 80))
    values[2, 10:20] = 0.5  # all of the second eighth
    return dataclasses.replace(
        TIME, values=values, times=np.linspace(0, 4, 81), freqs=np.linspace(0, 8000, 5)
    )


@pytest.mark.parametrize(
    "explanation",
    [
        TIME,
        picture(),
        dataclasses.replace(TIME, empty=math.nan, residual=math.nan),
        dataclasses.replace(TIME, stderr=np.array([0.1, 0.2, 1 / 3]), times=None),
    ],
)
def test_json_round_trip(explanation):
    back = Explanation.from_json(explanation.to_json())
    for field in dataclasses.fields(Explanation):
        before, after = getattr(explanation, field.name), getattr(back, field.name)
        assert type(before) is type(after)
        np.testing.assert_array_equal(before, after)


def test_json_is_strict_and_holds_lists():
    text = dataclasses.replace(TIME, residual=math.nan).to_json()
    raw = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert raw["values"] == [0.1, -2.0, 1.5]
    assert raw["residual"] is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"values": [1]}', "null"])
def test_other_text_is_refused_in_a_sentence(text):
    with pytest.raises(ExplainError, match="no explanation"):
        Explanation.from_json(text)


def test_decisive_seconds_are_the_strongest_with_their_sign():
    assert decisive_seconds(TIME, 2) == [(2.0, 3.0, -2.0), (3.0, 4.0, 1.5)]


def test_strong_neighbours_on_one_side_are_one_stretch():
    values = np.array([0.2, 1.0, 0.6, -0.9, 0.9, 0.4, 0.7, 0.5])
    spoken = dataclasses.replace(TIME, values=values, times=np.arange(9.0))
    found = decisive_seconds(spoken, 10)
    assert [(start, end) for start, end, _ in found] == [
        (1, 3), (6, 8), (3, 4), (4, 5), (5, 6), (0, 1)
    ]  # fmt: skip
    assert [value for *_, value in found] == pytest.approx([1.6, 1.2, -0.9, 0.9, 0.4, 0.2])
    assert decisive_seconds(dataclasses.replace(spoken, values=np.zeros(8)))[0][2] == 0


def test_a_picture_is_summed_into_eight_stretches():
    values, edges = over_time(picture())
    assert len(values) == 8
    assert edges == pytest.approx(np.linspace(0, 4, 9))
    assert values == pytest.approx([0, 5, 0, 0, 0, 0, 0, 0])


def test_without_a_time_axis_there_are_no_seconds():
    with pytest.raises(ExplainError, match="no time axis"):
        decisive_seconds(dataclasses.replace(TIME, times=None))
