"""What the rows of `evaluate` come to: figures with intervals, and the table that people read.

- time_swap, band_swap: over the swaps whose verdict flipped, that is, the detector called the clip
  real before and fake after. "unconditional" is over all swaps; "seen" and "unseen" are the flipped
  ones by fakers that training used and that it never met, "by_faker" each of them.
- auc, rra, rma, pointing: see `scores`; chance is what rra, rma and pointing give a map without
  knowledge, auc gives it 0.5. eer and f1 are over the cells of all these swaps together; f1 calls
  changed what is above `threshold`, the one of equal error rates on dev, or else on these clips.
- control: a stretch of each clip pasted back, over all clips; an auc above 0.5 points at seams.
- deletion, insertion: {fill: {auc, auc_ci}} in logits; random_order: the same without a map.
- n is the number of swaps, clips that of clips. Means are over swaps, intervals are 95 %, by
  bootstrap over clips. What nothing supports is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import metrics
from evaluation.markdown import table

from .baselines import TRIVIAL
from .localisation import bootstrap, f1
from .partial_spoofs import SEEN, UNSEEN

Row = dict[str, Any]
Pairs = list[tuple[str, Row]]  # clip and one of its swaps

SCORES = ("auc", "rra", "rma", "pointing")
STABILITY = ("seed_stability", "mp3_stability", "randomisation")


def figures(
    rows: Sequence[Row],
    methods: Sequence[str],
    detectors: Sequence[str],
    dev: Mapping[str, Any] | None,
    turned: bool = False,
) -> dict[str, dict[str, Any]]:
    """{method: {detector: figures}}; dev: a result of `evaluate` whose thresholds are used.

    turned: see `evaluate`; only the maps that know nothing saw all swaps.
    """
    mine: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        mine[row["method"], row["detector"]].append(row)
    made: dict[str, dict[str, Any]] = {}
    for method in methods:
        for detector in detectors:
            own = mine.get((method, detector))
            if own:
                known = (dev or {}).get("methods", {}).get(method, {}).get(detector, {})
                made.setdefault(method, {})[detector] = _figures(own, known)
                if turned and method not in TRIVIAL:
                    _without_rest(made[method][detector])
    return made


def reaction(rows: Sequence[Row]) -> dict[str, Any]:
    """How one detector takes the swaps themselves, whatever explains them.

    {kind: {faker: {flipped, shift, real, n}}}: the share of clips called real before that are
    called fake after, their number, and the mean change of the LLR over all n. The control's
    faker is "".
    """
    seen = {(r["clip"], s["kind"], s["faker"]): s for r in rows for s in r["swaps"]}
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for (_, kind, faker), swap in seen.items():
        groups[kind][faker].append(swap)
    return {
        kind: {
            faker: {
                "flipped": _mean([s["flipped"] for s in swaps if s["real_before"]]),
                "shift": _mean([s["shift"] for s in swaps]),
                "real": sum(s["real_before"] for s in swaps),
                "n": len(swaps),
            }
            for faker, swaps in sorted(fakers.items())
        }
        for kind, fakers in groups.items()
    }


def _figures(rows: Sequence[Row], dev: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of one method on one detector."""
    probed = [row["probe"] for row in rows if row["probe"]]
    seconds = [s for row in rows for s in row["seconds"]]
    residuals = [row["residual"] for row in rows if row["residual"] is not None]
    random = [p["random_order"] for p in probed]
    return {
        "time_swap": _swapped(rows, "time", dev.get("time_swap")),
        "band_swap": _swapped(rows, "band", dev.get("band_swap")),
        "control": _scores(_pairs(rows, "control")),
        "deletion": _curves(probed, "deletion"),
        "insertion": _curves(probed, "insertion"),
        "random_order": {name: _curves(random, name) for name in ("deletion", "insertion")},
        "residual": max(residuals) if residuals else None,
        **{name: _with_interval(name, [p[name] for p in probed]) for name in STABILITY},
        "max_sensitivity": {
            kind: _mean([p["max_sensitivity"][kind] for p in probed]) for kind in ("noise", "gain")
        },
        "probed": len(probed),
        "failed": sum(row["failed"] is not None for row in rows),
        "seconds": _mean(seconds),
        "peak_mb": None,
    }


def _without_rest(figures: dict[str, Any]) -> None:
    """Leave out what would be over all swaps, of which the method saw those that turned alone."""
    figures["control"] = _scores([])
    for kind in ("time_swap", "band_swap"):
        figures[kind]["unconditional"] = _scores([])


def _pairs(rows: Sequence[Row], kind: str) -> Pairs:
    return [(row["clip"], s) for row in rows for s in row["swaps"] if s["kind"] == kind]


def _swapped(rows: Sequence[Row], kind: str, dev: Mapping[str, Any] | None) -> dict[str, Any]:
    everything = _pairs(rows, kind)
    flipped = [(clip, s) for clip, s in everything if s["flipped"]]

    def by(*fakers: str) -> dict[str, Any]:
        return _scores([(clip, s) for clip, s in flipped if s["faker"] in fakers])

    return {
        **_scores(flipped),
        **_segments(flipped, (dev or {}).get("threshold")),
        "unconditional": _scores(everything),
        "seen": by(*SEEN),
        "unseen": by(*UNSEEN),
        "by_faker": {faker: by(faker) for faker in (*SEEN, *UNSEEN)},
    }


def _scores(pairs: Pairs) -> dict[str, Any]:
    """Means over swaps, with intervals over clips: the swaps of one clip are drawn together."""
    clips = [clip for clip, _ in pairs]
    figures: dict[str, Any] = {"n": len(pairs), "clips": len(set(clips))}
    for name in SCORES:
        figures |= _interval(name, [swap[name] for _, swap in pairs], clips)
    return figures | {"chance": _mean([swap["chance"] for _, swap in pairs])}


def _segments(pairs: Pairs, threshold: float | None) -> dict[str, Any]:
    """Equal error rate of the cells, and F1 at a threshold, over all swaps together."""
    if not pairs:
        return {"eer": None, "f1": None, "threshold": threshold}
    cells = np.concatenate([swap["cells"] for _, swap in pairs])
    truth = np.concatenate([_truth(swap) for _, swap in pairs])
    at = metrics.eer_threshold(cells, truth) if threshold is None else threshold
    return {"eer": metrics.eer(cells, truth), "f1": f1(cells > at, truth), "threshold": at}


def _truth(swap: Row) -> np.ndarray:
    truth = np.zeros(len(swap["cells"]), dtype=np.int64)
    truth[slice(*swap["inside"])] = 1
    return truth


def _curves(probed: Sequence[Row], name: str) -> dict[str, Any]:
    fills = probed[0][name] if probed else {}
    return {fill: _interval("auc", [p[name][fill] for p in probed]) for fill in fills}


def _with_interval(name: str, values: Sequence[float | None]) -> dict[str, Any]:
    return _interval("rho", [value for value in values if value is not None])


def _interval(
    name: str, values: Sequence[float], clips: Sequence[str] | None = None
) -> dict[str, Any]:
    """{name, name_ci}"""
    many = len(set(clips) if clips else values) > 1
    interval = list(bootstrap(values, clips)) if many else None
    return {name: _mean(values), f"{name}_ci": interval}


def _mean(values: Sequence[float | None]) -> float | None:
    there = [float(value) for value in values if value is not None]
    return float(np.mean(there)) if there else None


def localisation(own: Mapping[str, Any]) -> str:
    """Markdown: a row a method, {method: figures} of one detector."""
    head = [
        "method", "time AUC [95 %]", "seen", "unseen", "unconditional", "RRA", "RMA", "chance",
        "points", "EER", "F1", "control AUC", "band AUC [95 %]", "band RRA", "band chance",
    ]  # fmt: skip
    rows = []
    for name, figures in own.items():
        t, b = figures["time_swap"], figures["band_swap"]
        rows.append(
            [
                name,
                _said(t["auc"], t["auc_ci"]),
                *(_said(t[kind]["auc"]) for kind in ("seen", "unseen", "unconditional")),
                *(_said(t[key]) for key in ("rra", "rma", "chance", "pointing", "eer", "f1")),
                _said(figures["control"]["auc"]),
                _said(b["auc"], b["auc_ci"]),
                *(_said(b[key]) for key in ("rra", "chance")),
            ]
        )
    return table(head, rows)


def fidelity(own: Mapping[str, Any]) -> str:
    """Markdown: faithfulness, stability, sanity and cost, a row a method."""
    head = [
        "method", "deletion: noise, zeros", "insertion: noise, zeros", "random order", "residual",
        "seeds", "MP3", "sensitivity: noise, gain", "randomised", "s", "MB",
    ]  # fmt: skip
    rows = []
    for name, figures in own.items():
        areas = {k: _areas(figures[k]) for k in ("deletion", "insertion")}
        chaos = "; ".join(_areas(figures["random_order"][k]) for k in areas)
        sensitivity = figures["max_sensitivity"]
        residual, peak = figures["residual"], figures["peak_mb"]
        rows.append(
            [
                name,
                *areas.values(),
                chaos,
                "-" if residual is None else f"{residual:.0e}",
                _said(figures["seed_stability"]["rho"]),
                _said(figures["mp3_stability"]["rho"]),
                f"{_said(sensitivity['noise'])}, {_said(sensitivity['gain'])}",
                _said(figures["randomisation"]["rho"]),
                _said(figures["seconds"]),
                "-" if peak is None else f"{peak:.0f}",
            ]
        )
    return table(head, rows)


def reactions(taken: Mapping[str, Any]) -> str:
    """Markdown: how the detector took the swaps, see `reaction`."""
    rows = [
        [
            f"{kind} {faker}".strip(),
            _said(r["flipped"]),
            _said(r["shift"]),
            str(r["real"]),
            str(r["n"]),
        ]
        for kind, fakers in taken.items()
        for faker, r in fakers.items()
    ]
    return table(["swap", "verdict flipped", "LLR change", "called real before", "n"], rows)


def _areas(fills: Mapping[str, Any]) -> str:
    return ", ".join(_said(figures["auc"]) for figures in fills.values()) or "-"


def _said(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
