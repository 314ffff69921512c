"""Picture of where detectors look: a dot for each generator and place, as big as it is important.

Green places agree with the label, purple ones speak against it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .cue_map import axes

LARGEST = 260.0  # area of the largest dot in square points
MOST = 24  # generators that are drawn: those with the most clips


def png(result: Mapping[str, Any]) -> bytes:
    """What `corpus` measured as a PNG file, a panel for each detector, method and axis."""
    panels = list(axes(result))
    rows = [_largest(groups) for *_, groups in panels]
    heights = [0.9 + 0.26 * len(names) for names in rows]
    figure = Figure(figsize=(8.5, sum(heights)), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    drawn = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for plot, (name, method, axis, groups), names in zip(drawn, panels, rows, strict=True):
        dots = _panel(plot, {group: groups[group] for group in names})
        plot.set_title(f"{name}: {method}, by {axis}", loc="left", fontsize=10)
    bar = figure.colorbar(dots, ax=drawn.tolist(), shrink=0.5, pad=0.01)
    bar.set_label("trust: agreement with the label")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _largest(groups: Mapping[str, Any]) -> list[str]:
    """All clips together, then the generators with the most clips."""
    names = sorted(groups.keys() - {"all"}, key=lambda name: (-groups[name]["n"], name))
    return ["all", *names[:MOST]]


def _panel(plot: Axes, groups: Mapping[str, Any]) -> Any:
    names, places = list(groups), list(groups["all"]["places"])
    cells = [
        (x, y, groups[name]["places"][place])
        for y, name in enumerate(names)
        for x, place in enumerate(places)
    ]
    cells = [cell for cell in cells if cell[2]["importance"]]
    largest = max((figures["importance"] for *_, figures in cells), default=1.0)
    dots = plot.scatter(
        [x for x, _, _ in cells],
        [y for _, y, _ in cells],
        s=[LARGEST * figures["importance"] / largest for *_, figures in cells],
        c=[figures["trust"] for *_, figures in cells],
        cmap="PRGn", vmin=-1, vmax=1, edgecolors="#64748b", linewidths=0.5,
    )  # fmt: skip
    plot.set_xticks(range(len(places)), places, fontsize=8)
    plot.set_yticks(
        range(len(names)), [f"{name} ({groups[name]['n']})" for name in names], fontsize=8
    )
    plot.set(xlim=(-0.5, len(places) - 0.5), ylim=(len(names) - 0.4, -0.6))
    plot.spines[["top", "right"]].set_visible(False)
    plot.tick_params(length=0)
    return dots
