"""Made-up measurements of explanation methods, as `explain.hit_rates` reads them."""

from __future__ import annotations

from typing import Any


def measurement(
    auc: float,
    *,
    axis: str = "time",
    within: float | None = 0.05,
    pointing: float = 0.8,
    **baselines: float,
) -> dict[str, Any]:
    """What one method has on one axis; within: half of each interval, None for no interval."""
    low, high = (None, None) if within is None else (auc - within, auc + within)
    own = {
        f"{axis}/auc": [auc, low, high, 60],
        f"{axis}/pointing": [pointing, 0.7, 0.9, 60],
        f"{axis}/chance": [0.22, None, None, 60],
    }
    return own | {
        f"{axis}/auc of {name.replace('_', '-')}": [value, None, None, 60]
        for name, value in baselines.items()
    }


def use_measured(monkeypatch, **methods: dict[str, Any]) -> None:
    """Let these be the figures of every detector; a method's dash is written as an underscore."""
    known = {name.replace("_", "-"): own for name, own in methods.items()}
    monkeypatch.setattr("explain.hit_rates.figures", lambda detector: known)
