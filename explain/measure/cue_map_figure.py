"""Draws a cue map: a dot for each generator and place, as big as it is important.

Green places agree with the label, purple ones speak against it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from detectors.tables import Row, find

from .cue_map import maps

LARGEST = 260.0  # area of the largest dot in square points
MOST = 24  # generators that are drawn: those with the most clips


def png(result: Mapping[str, Any]) -> bytes:
    """A cue map as a PNG file, a plot for each detector, method and axis."""
    plots = [(title, rows, _largest(rows)) for title, rows in maps(result["rows"])]
    heights = [0.9 + 0.26 * len(names) for *_, names in plots]
    figure = Figure(figsize=(8.5, sum(heights)), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    drawn = figure.subplots(len(plots), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, rows, names) in zip(drawn, plots, strict=True):
        dots = _draw(axes, rows, names)
        axes.set_title(title, loc="left", fontsize=10)
    bar = figure.colorbar(dots, ax=drawn.tolist(), shrink=0.5, pad=0.01)
    bar.set_label("trust: agreement with the label")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _largest(rows: Sequence[Row]) -> dict[str, int]:
    """All clips together, then the generators with the most clips, and their number."""
    clips = {row["generator"]: row["n"] for row in rows}
    names = sorted(clips.keys() - {"all"}, key=lambda name: (-clips[name], name))
    return {name: clips[name] for name in ("all", *names[:MOST])}


def _draw(axes: Axes, rows: Sequence[Row], names: Mapping[str, int]) -> Any:
    places = list(dict.fromkeys(row["condition"] for row in rows))
    dots = []  # x, y, importance, trust
    for y, name in enumerate(names):
        for x, place in enumerate(places):
            at = {"generator": name, "condition": place}
            importance = find(rows, metric="importance", **at)
            trust = find(rows, metric="trust", **at)  # missing where nothing is important
            if importance and trust:
                dots.append((x, y, importance["value"], trust["value"]))
    largest = max((importance for *_, importance, _ in dots), default=1.0)
    drawn = axes.scatter(
        [x for x, *_ in dots],
        [y for _, y, *_ in dots],
        s=[LARGEST * importance / largest for *_, importance, _ in dots],
        c=[trust for *_, trust in dots],
        cmap="PRGn", vmin=-1, vmax=1, edgecolors="#64748b", linewidths=0.5,
    )  # fmt: skip
    axes.set_xticks(range(len(places)), places, fontsize=8)
    axes.set_yticks(range(len(names)), [f"{name} ({n})" for name, n in names.items()], fontsize=8)
    axes.set(xlim=(-0.5, len(places) - 0.5), ylim=(len(names) - 0.4, -0.6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    return drawn
