"""Service: whatever keeps the bundled detectors out of the registry, its champions are followed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from detectors.errors import HearsayError
from page import service


@pytest.mark.parametrize("error", [HearsayError("The store is read-only."), OSError(28, "full")])
def test_champions_are_followed_even_where_nothing_can_be_registered(monkeypatch, capsys, error):
    def fail(_):
        raise error

    monkeypatch.setattr(service.registry, "seed", fail)
    watched = []
    pool = SimpleNamespace(detectors=lambda: [], watch=lambda: watched.append(True))
    service.start(pool, []).join()
    assert watched == [True] and str(error).rstrip(".") in capsys.readouterr().err
