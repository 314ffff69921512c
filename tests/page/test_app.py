"""The page's events, as far as no browser is needed to tell."""

from __future__ import annotations

from app import Page
from detectors.pool import DetectorPool


def test_priors_are_weighed_in_the_order_in_which_they_were_asked_for():
    page = Page(DetectorPool([]))
    weighed = [event for event in page.blocks.fns.values() if event.name == "weigh"]
    assert len(weighed) == 2
    assert len({event.concurrency_id for event in weighed}) == 1
    assert all(event.concurrency_limit == 1 for event in weighed)
