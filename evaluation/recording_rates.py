"""How often detectors are right about long recordings: flat rows and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from corpora.long_recordings import LENGTHS_S, Span
from detectors.config import Calibration
from detectors.stretches import Stretch, find_stretches
from detectors.tables import Column, Row, pivot

from . import metrics
from .intervals import eer_interval, mean
from .recordings import AMOUNTS_S, CHANNELS, MINUTES, Scored, lengthened

FOUND = 0.5  # share of a synthetic stretch that is said to be fake


def measure(
    recordings: Sequence[Scored], calibration: Calibration, seed: int = 0
) -> dict[str, list[Row]]:
    """All rows; each has a value, its 95 % interval over voices, and n, the values behind it."""
    return {
        "amounts": _amounts(recordings, calibration, seed),
        "mixed": _mixed(recordings, calibration, seed),
        "found": _found(recordings, calibration),
    }


def _amounts(recordings: Sequence[Scored], calibration: Calibration, seed: int) -> list[Row]:
    """By amount of speech: EER, Cllr, that without the firmness, and who gets which verdict."""
    whole = [one for one in recordings if one.recording.label != "partial"]
    names = [one.recording.voice for one in whole]
    labels = np.array([one.recording.label == "spoof" for one in whole], dtype=np.int64)
    rows: list[Row] = []
    for seconds in AMOUNTS_S:
        plain = np.array([one.beginnings[seconds].llr for one in whole])
        llr = np.array([one.beginnings[seconds].weighed(calibration) for one in whole])
        low, high = eer_interval(llr, labels, names, seed) or (None, None)
        name = {"recording": f"{seconds:g} s"}
        rows += [
            {**name, "metric": "EER", "value": metrics.eer(llr, labels), "low": low, "high": high},
            _value(name, "Cllr", metrics.cllr(llr, labels)),
            _value(name, "Cllr, all alike", metrics.cllr(plain, labels)),
        ]
        verdicts = np.array([calibration.verdict(value) for value in llr.tolist()])
        for metric, label, verdict in (
            ("real called fake", 0, "fake"),
            ("fake called real", 1, "real"),
            ("real inconclusive", 0, "inconclusive"),
            ("fake inconclusive", 1, "inconclusive"),
        ):
            own = np.flatnonzero(labels == label)
            called = (verdicts[own] == verdict).astype(float).tolist()
            rows.append({**mean(called, [names[i] for i in own], metric=metric), **name})
    return rows


def _value(name: dict[str, str], metric: str, value: float | None) -> Row:
    return {**name, "metric": metric, "value": value, "low": None, "high": None}


def _mixed(recordings: Sequence[Scored], calibration: Calibration, seed: int) -> list[Row]:
    """How often wholly real, and wholly fake, recordings are called mixed."""
    rows = []
    for label in ("bonafide", "spoof"):
        own = [one for one in recordings if one.recording.label == label]
        for minutes in MINUTES:
            drawn = lengthened(own, minutes, seed)
            called = [float(bool(find_stretches(w, calibration))) for _, w in drawn]
            names = [name for name, _ in drawn]
            rows.append(mean(called, names, metric=label, length=f"{minutes} min"))
    return rows


def _found(recordings: Sequence[Scored], calibration: Calibration) -> list[Row]:
    """By the length of synthetic stretches, and by channel: how many are found, and how well."""
    truths: list[tuple[str, str, float, bool, float | None]] = []
    surplus: list[tuple[str, str, bool]] = []
    for one in recordings:
        if one.recording.label != "partial":
            continue
        voice, spans = one.recording.voice, one.recording.stretches
        said = [s for s in find_stretches(one.windows, calibration) if s.verdict == "fake"]
        for span in spans:
            own = [s for s in said if _shared(s, span) >= FOUND * (span[1] - span[0])]
            errors = [abs(own[0].start_s - span[0]), abs(own[-1].end_s - span[1])] if own else []
            error = float(np.mean(errors)) if own else None
            truths.append((voice, one.channel, round(span[1] - span[0]), bool(own), error))
        alarms = [s for s in said if not any(_shared(s, span) > 0 for span in spans)]
        surplus.append((voice, one.channel, bool(alarms)))
    groups: list[tuple[str, Callable[[str, float], bool]]] = [
        *((f"{n} s", lambda _, length, n=n: length == n) for n in LENGTHS_S),
        *((name, lambda channel, _, name=name: channel == name) for name in CHANNELS),
        ("all", lambda *_: True),
    ]
    rows = []
    for group, belongs in groups:
        own_ = [t for t in truths if belongs(t[1], t[2])]
        errors = [error for *_, error in own_ if error is not None]
        found = [float(hit) for *_, hit, _ in own_]
        rows.append(mean(found, [t[0] for t in own_], metric="found", stretches=group))
        middle = float(np.median(errors)) if errors else None
        rows.append(_value({"stretches": group}, "border", middle))
    wrong = mean([float(bad) for *_, bad in surplus], [s[0] for s in surplus], metric="surplus")
    return [*rows, {**wrong, "stretches": "all"}]


def _shared(stretch: Stretch, span: Span) -> float:
    """Seconds that both hold."""
    return max(0.0, min(stretch.end_s, span[1]) - max(stretch.start_s, span[0]))


def markdown(rows: dict[str, list[Row]]) -> str:
    """Three tables, shares in %."""
    amounts = [
        Column("EER", "EER", form=".1%", interval=True),
        Column("Cllr", "Cllr"),
        Column("Cllr, all alike", "Cllr, all alike"),
        *(
            Column(name, name, form=".0%", interval=True)
            for name in (
                "real called fake", "fake called real", "real inconclusive", "fake inconclusive",
            )
        ),
    ]  # fmt: skip
    mixed = [
        Column("wholly real, called mixed", "bonafide", form=".1%", interval=True),
        Column("wholly fake, called mixed", "spoof", form=".1%", interval=True),
    ]
    found = [
        Column("found", "found", form=".0%", interval=True),
        Column("median error of borders, s", "border", form=".1f"),
        Column("recordings with a surplus one", "surplus", form=".0%", interval=True),
    ]
    return "\n\n".join(
        [
            pivot(rows["amounts"], "recording", amounts),
            pivot(rows["mixed"], "length", mixed),
            pivot(rows["found"], "stretches", found),
        ]
    )
