"""What the trials of `evaluate` come to: flat rows, and the tables that people read.

A trial is one method on one clip and detector: what it made of each splice, and the checks. A row
is {detector, method, condition, metric, value, low, high, n}; what nothing supports has no row.

- "time", "band": splices whose verdict flipped, that is, the detector called the clip real before
  and fake after. "time all" is over all splices; "time seen" and "time unseen" are the flipped ones
  by fakers that training used and that it never met, "time world" those of one faker.
- auc, rra, rma, pointing: see `localisation`; chance is what rra, rma and pointing give a map
  without knowledge. eer and f1 are over the cells of all these splices together; f1 calls spliced
  what is above `threshold`, the one of equal error rates on dev, or else on these clips.
- "control": a segment of each clip pasted back, over all clips; an auc above 0.5 points at seams.
- "noise", "zeros": deletion and insertion with this fill, in logits, and the same without a map.
- "stability", "cost": see `faithfulness`. No method: how the detector took the splices, `flipped`
  as the share of clips called real before, and `shift`, the mean change of the LLR.
- n is the number of splices, or of clips. Intervals are 95 %, by bootstrap over clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from detectors.tables import Column, Row, find, pivot
from evaluation.intervals import mean
from evaluation.metrics import eer, eer_threshold

from .baselines import BASELINES
from .partial_spoofs import SEEN, UNSEEN

Trial = dict[str, Any]
Splices = list[tuple[str, Row]]  # clip and one of its splices

SCORES = ("auc", "rra", "rma", "pointing", "chance")
STABILITY = ("seed", "mp3", "scrambled", "noise", "gain")
FAKERS = {"seen": SEEN, "unseen": UNSEEN, **{faker: (faker,) for faker in SEEN + UNSEEN}}

LOCALISATION = (
    Column("time AUC [95 %]", "auc", "time", interval=True),
    Column("seen", "auc", "time seen"),
    Column("unseen", "auc", "time unseen"),
    Column("all splices", "auc", "time all"),
    Column("RRA", "rra", "time"),
    Column("RMA", "rma", "time"),
    Column("chance", "chance", "time"),
    Column("points", "pointing", "time"),
    Column("EER", "eer", "time"),
    Column("F1", "f1", "time"),
    Column("control AUC", "auc", "control"),
    Column("band AUC [95 %]", "auc", "band", interval=True),
    Column("band RRA", "rra", "band"),
    Column("band chance", "chance", "band"),
)
FIDELITY = (
    *(
        Column(f"{what}, {fill}", what, fill)
        for what in ("deletion", "deletion at random", "insertion", "insertion at random")
        for fill in ("noise", "zeros")
    ),
    Column("residual", "residual", form=".0e"),
    Column("other seed", "seed", "stability"),
    Column("MP3", "mp3", "stability"),
    Column("scrambled weights", "scrambled", "stability"),
    Column("sensitivity to noise", "noise", "stability"),
    Column("to gain", "gain", "stability"),
    Column("s", "seconds"),
    Column("MB", "peak_mb", form=".0f"),
)
REACTIONS = (
    Column("verdict flipped", "flipped"),
    Column("LLR change", "shift"),
)


def summarise(
    trials: Sequence[Trial], dev: Sequence[Row] = (), flipped_only: bool = False
) -> list[Row]:
    """Flat rows of every method on every detector.

    dev: rows of an evaluation whose thresholds are used. flipped_only: see `evaluate`; only the
    baselines saw all splices.
    """
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial["method"], trial["detector"]].append(trial)
    rows: list[Row] = []
    for (method, detector), own in groups.items():
        names = {"detector": detector, "method": method}
        for kind in ("time", "band"):
            rows += _splices(own, kind, dev, names)
        if not flipped_only or method in BASELINES:
            for kind, condition in (("time", "time all"), ("band", "band all"), ("control",) * 2):
                rows += _scores(_of(own, kind), condition=condition, **names)
        rows += _checks([trial["checks"] for trial in own if trial["checks"]], names)
        rows += _costs(own, names)
    return [row for row in rows if row["value"] is not None]


def reactions(trials: Sequence[Trial]) -> Iterator[Row]:
    """How each detector takes the splices themselves, whatever explains them."""
    seen = {
        (t["detector"], t["clip"], s["kind"], s["faker"]): s for t in trials for s in t["splices"]
    }
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for (detector, _, kind, faker), splice in seen.items():
        groups[detector, f"{kind} {faker}".strip()].append(splice)
    for (detector, condition), own in groups.items():
        names = {"detector": detector, "method": "", "condition": condition}
        yield mean([s["flipped"] for s in own if s["real_before"]], metric="flipped", **names)
        yield mean([s["shift"] for s in own], metric="shift", **names)


def markdown(result: Mapping[str, Any]) -> str:
    """What was found, what it is worth and how the detectors took the splices."""
    parts = [f"{result['clips']} bona fide clips, split {result['split'] or 'all'}."]
    for detector in result["digests"]:
        own = [row for row in result["rows"] if row["detector"] == detector]
        maps = [row for row in own if row["method"]]
        taken = [row for row in own if not row["method"]]
        parts += [
            f"**{detector}**",
            pivot(maps, "method", LOCALISATION),
            pivot(maps, "method", FIDELITY),
            pivot(taken, "condition", REACTIONS),
        ]
    return "\n\n".join(parts)


def _of(trials: Sequence[Trial], kind: str) -> Splices:
    return [(trial["clip"], s) for trial in trials for s in trial["splices"] if s["kind"] == kind]


def _splices(
    trials: Sequence[Trial], kind: str, dev: Sequence[Row], names: dict[str, str]
) -> Iterator[Row]:
    """Figures over the splices of a kind that flipped the verdict."""
    flipped = [(clip, s) for clip, s in _of(trials, kind) if s["flipped"]]
    yield from _scores(flipped, condition=kind, **names)
    for name, fakers in FAKERS.items():
        these = [(clip, s) for clip, s in flipped if s["faker"] in fakers]
        yield from _scores(these, condition=f"{kind} {name}", **names)
    if flipped:
        cells = np.concatenate([s["cells"] for _, s in flipped])
        truth = np.concatenate([_truth(s) for _, s in flipped])
        known = find(dev, metric="threshold", condition=kind, **names)
        at = known["value"] if known else eer_threshold(cells, truth)
        f1 = float(f1_score(truth, cells > at, zero_division=0.0))
        for metric, value in (("eer", eer(cells, truth)), ("f1", f1), ("threshold", at)):
            yield exact(value, len(flipped), condition=kind, metric=metric, **names)


def _scores(splices: Splices, **names: str) -> Iterator[Row]:
    """Means over splices, with intervals over clips: the splices of one clip are drawn together."""
    clips = [clip for clip, _ in splices]
    for metric in SCORES:
        yield mean([s[metric] for _, s in splices], clips, metric=metric, **names)


def _truth(splice: Row) -> np.ndarray:
    truth = np.zeros(len(splice["cells"]), dtype=np.int64)
    truth[slice(*splice["inside"])] = 1
    return truth


def _checks(checks: Sequence[Row], names: dict[str, str]) -> Iterator[Row]:
    for metric in ("deletion", "insertion"):
        for fill in checks[0][metric] if checks else ():
            own, chance = ([c[fill] for c in some] for some in (
                [c[metric] for c in checks], [c["random_order"][metric] for c in checks]
            ))  # fmt: skip
            yield mean(own, condition=fill, metric=metric, **names)
            yield mean(chance, condition=fill, metric=f"{metric} at random", **names)
    for metric in STABILITY:
        yield mean([c[metric] for c in checks], condition="stability", metric=metric, **names)


def _costs(trials: Sequence[Trial], names: dict[str, str]) -> Iterator[Row]:
    seconds = [s for trial in trials for s in trial["seconds"]]
    residuals = [trial["residual"] for trial in trials if trial["residual"] is not None]
    failed = sum(trial["failed"] is not None for trial in trials)
    names = {**names, "condition": "cost"}
    yield mean(seconds, metric="seconds", **names)
    yield exact(max(residuals, default=None), len(residuals), metric="residual", **names)
    yield exact(failed, len(trials), metric="failed", **names)


def exact(value: float | None, n: int, **names: str) -> Row:
    """A row of what has no interval."""
    return {**names, "value": value, "low": None, "high": None, "n": n}
