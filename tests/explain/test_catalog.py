"""The table of methods says what their functions do."""

import inspect

import pytest

from explain import METHODS
from explain.catalog import BOTH, FEATURE, FREQUENCY, TIME, unasked
from explain.coalitions.time_game import TimeOptions


def test_every_method_has_a_title_of_its_own():
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_its_options_are_the_keywords_of_its_function(method):
    keywords = list(inspect.signature(method.attribute).parameters.values())[2:]
    named = [k.name for k in keywords if k.kind is k.KEYWORD_ONLY and k.name != "progress"]
    shared = list(TimeOptions.__annotations__) if len(keywords) > len(named) + 1 else []
    assert sorted(method.options) == sorted([*named, *shared])
    assert method.takes_progress == any(k.name == "progress" for k in keywords)
    assert method.stochastic == ("seed" in method.options)


@pytest.mark.parametrize("axis", [TIME, FREQUENCY, FEATURE])
def test_what_is_shown_unasked_has_that_axis_and_is_said_to_show_what(axis):
    assert unasked(axis)
    for name in unasked(axis):
        assert METHODS[name].axis in (axis, BOTH)
        assert METHODS[name].how or axis == FREQUENCY  # a map says only where to look
