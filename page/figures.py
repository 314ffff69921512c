"""Plots of a recording and of what decided, as SVG in HTML.

They take their colours from the page (light or dark), stretch to any width and share one clock:
`player.js` moves a cursor over every `.area` with data-from and data-to, and plays from a click or
by the keyboard.
Warm colours and upwards are evidence for fake, cool colours and downwards for real.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup, escape

from detectors import Waveform
from detectors.assessment import DetectorResult
from detectors.audio import RATE
from detectors.stretches import in_words
from explain import Explanation, decisive_seconds
from explain.explanation import FAINT, over_time

from .rendering import side, signed, towards

COLUMNS = 640  # points across a drawn waveform
REACH = 33  # height of the longest bar in per cent: its label fits beyond it
FEW, MANY = 10, 16  # windows whose values have room on a narrow screen, and on any


# --- time ---


def waveform(wave: Waveform, explanation: Explanation | None = None) -> Markup:
    """The waveform, with each window of the explanation lit by its share in the decision.

    Without an explanation the whole recording is drawn, with one its segment, and bars below.
    """
    start, end = 0.0, wave.facts.seconds
    if explanation is None or explanation.times is None:
        svg = _silences(wave, start, end) + _envelope(wave.whole(), "wave")
        return plot(_area(svg, start, end, "The recording's waveform.", 130), start, end)
    values, times = over_time(explanation)
    start, end = float(times[0]), float(times[-1])
    samples = wave.whole()[round(start * RATE) : round(end * RATE)]
    edges = (times - start) / (end - start)
    peak = float(np.abs(values).max()) or 1.0
    lights, bars = [], []
    for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
        share = abs(value) / peak
        x, width = 1000 * left, 1000 * (right - left)
        if share >= FAINT:
            lights.append(_rect(x, 0, width, 100, side(value), opacity=0.06 + 0.3 * share))
        height = REACH * share
        top = 50 - height if value > 0 else 50
        bars.append(_rect(x + 2, top, width - 4, max(height, 0.8), side(value)))
    strongest = decisive_seconds(explanation)
    cells = zip(times[:-1], times[1:], values, strict=True)
    labels = []
    for a, b, value in strongest if len(values) > MANY else cells:
        tallest = np.abs(values[(times[:-1] >= a) & (times[1:] <= b)]).max() / peak
        labels.append(_label(value, ((a + b) / 2 - start) / (end - start), tallest))
    svg = "".join(lights) + _silences(wave, start, end) + _envelope(samples, "wave")
    told = ", ".join(f"{a:.1f} to {b:.1f} s {towards(value)}" for a, b, value in strongest)
    area = _area(svg, start, end, f"Waveform with the decisive seconds lit: {told}.", 130)
    middle = '<line class="zero" x1="0" x2="1000" y1="50" y2="50"/>'
    alt = "Bars for each segment: upwards is towards fake, downwards towards real."
    kind = "bars" if len(labels) <= FEW else "bars many"
    below = _area(middle + "".join(bars), start, end, alt, 96, "".join(labels), kind)
    return plot(area + below, start, end)


def timeline(wave: Waveform, result: DetectorResult) -> Markup:
    """LLR of every window over the whole recording, with threshold and band of "inconclusive".

    Stretches that contradict the rest are marked.
    """
    end = wave.facts.seconds
    llrs = [window.llr for window in result.windows]
    low, high = result.calibration.abstain
    reach = 1.15 * max(3.0, *(abs(llr) for llr in (*llrs, low, high)))

    def y(llr: float) -> float:
        return 50 - 50 * llr / reach

    middles = (
        wave.position([w.start_s for w in result.windows])
        + wave.position([w.end_s for w in result.windows])
    ) / 2
    centres = 1000 * wave.recording_s(middles) / end  # a silence within a window moves it not
    points = [(x, y(w.llr)) for x, w in zip(centres.tolist(), result.windows, strict=True)]
    points = [(0.0, points[0][1]), *points, (1000.0, points[-1][1])]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    limit = y(result.calibration.threshold)
    closed = f"0,{limit:.1f} {line} 1000,{limit:.1f}"
    band = _rect(0, y(high), 1000, y(low) - y(high), "unsure", opacity=0.16) if high > low else ""
    fills = "".join(
        f'<clipPath id="hs-{kind}">{_rect(0, top, 1000, tall, kind)}</clipPath>'
        f'<polygon class="{kind}" clip-path="url(#hs-{kind})" points="{closed}"/>'
        for kind, top, tall in (("fake", 0.0, limit), ("real", limit, 100 - limit))
    )
    rule = f'<line class="threshold" x1="0" x2="1000" y1="{limit:.1f}" y2="{limit:.1f}"/>'
    marks = "".join(
        _rect(1000 * s.start_s / end, 0, 1000 * (s.end_s - s.start_s) / end, 100, s.verdict, 0.2)
        for s in result.stretches
    )
    svg = f'{band}{marks}<g opacity="0.4">{fills}</g>{rule}<polyline class="llr" points="{line}"/>'
    svg += _silences(wave, 0.0, end)
    worst = result.strongest_window
    alt = f"Evidence over time; strongest for fake from {worst.start_s:.1f} to {worst.end_s:.1f} s."
    if result.stretches:
        alt = f"{alt} Parts stand out: {in_words(result.stretches)}."
    words = '<span class="corner top fake">fake</span><span class="corner bottom real">real</span>'
    return plot(_area(svg, 0, end, alt, 140, words), 0, end)


def strip(samples: np.ndarray, peak: float, alt: str) -> Markup:
    """A small waveform of (n,) samples, `peak` filling its height."""
    return Markup(_area(_envelope(samples, "wave", peak), 0, len(samples) / RATE, alt, 52))


# --- parts ---


def _silences(wave: Waveform, start: float, end: float) -> str:
    """Grey over the seconds in which there was nothing to judge."""
    cuts = [(max(a, start), min(b, end)) for a, b in wave.silences()]
    scale = 1000 / (end - start)
    return "".join(
        _rect(scale * (a - start), 0, scale * (b - a), 100, "silence", opacity=0.25)
        for a, b in cuts
        if b > a
    )


def _envelope(samples: np.ndarray, kind: str, peak: float | None = None) -> str:
    """Outline of the samples' lowest and highest values in COLUMNS columns.

    peak: the level that fills the height, the samples' own if None.
    """
    columns = np.array_split(samples, min(COLUMNS, len(samples)))
    peak = max(float(np.abs(samples).max()) if peak is None else peak, 1e-6) / 46
    x = np.linspace(0, 1000, len(columns))
    top = [50 - float(c.max()) / peak for c in columns]
    bottom = [50 - float(c.min()) / peak for c in columns]
    outline = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
    return f'<polygon class="{kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in outline)}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str, opacity: float = 1.0) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill-opacity="{opacity:.2f}"/>'
    )


def _label(value: float, centre: float, share: float) -> str:
    """The value beyond the end of its bar."""
    place = f"bottom:{50 + REACH * share:.0f}%" if value > 0 else f"top:{50 + REACH * share:.0f}%"
    return f'<span class="value" style="left:{100 * centre:.1f}%;{place}">{signed(value)}</span>'


def _area(
    svg: str, start: float, end: float, alt: str, height: int, over: str = "", kind: str = ""
) -> str:
    box = 'viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true"'
    return frame(f"<svg {box}>{svg}</svg>{over}", start, end, alt, height, kind)


def frame(inside: str, start: float, end: float, alt: str, height: int, kind: str) -> str:
    """A drawing of the seconds from start to end, over which the player's cursor moves."""
    return (
        f'<div class="area {kind}" style="height:{height}px" role="slider" tabindex="0" '
        f'aria-label="{escape(alt)} Arrow keys move through the sound, Enter plays it." '
        f'aria-valuemin="{start:.1f}" aria-valuemax="{end:.1f}" aria-valuenow="{start:.1f}" '
        f'data-from="{start:.3f}" data-to="{end:.3f}">{inside}<i class="cursor"></i></div>'
    )


def plot(areas: str, start: float, end: float) -> Markup:
    """Drawings of the same seconds above their clock."""
    marks = ""
    for at in _ticks(start, end):
        share = (at - start) / (end - start)
        kind = "first" if share < 0.03 else "last" if share > 0.97 else ""
        marks += f'<span class="{kind}" style="left:{100 * share:.2f}%">{clock(at)}</span>'
    axis = f'<div class="axis" aria-hidden="true">{marks}</div>'
    return Markup(f'<div class="plot">{areas}{axis}</div>')


def clock(seconds: float) -> str:
    """Seconds as people write them: "2.5 s", "1:05"."""
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _ticks(start: float, end: float) -> Iterable[float]:
    """Round times, about five to eight of them."""
    span = end - start
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120) if span / s <= 8), 300)
    first = np.ceil(start / step - 1e-9)
    return [
        abs(round(float(n) * step, 3)) for n in np.arange(first, np.floor(end / step + 1e-9) + 1)
    ]
