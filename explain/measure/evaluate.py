"""Explanations against ground truth: does a method find what was planted in a clip?

    result = evaluate(clips, {"cnn": load("cnn")}, scratch=Path("dev.clips.jsonl"))
    print(markdown(result))     # tables.py

Bona fide clips get a known stretch or band exchanged (`swaps`), every method explains them, and the
maps are compared with what was exchanged (`scores`), beside maps that know nothing (`trivial`).
What the figures mean is said in `tables`.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.audio import decode
from corpora.manifest import Clip, corpus_hash
from detectors.audio import Waveform, bare
from detectors.detector import Detector

from .. import METHODS, methods
from ..explanation import ExplainError, Explanation
from . import localisation
from .baselines import TRIVIAL
from .faithfulness import faithfulness, probe, scramble
from .partial_spoofs import SEEN, UNSEEN, Swap, make_swaps
from .planted import Additive, draw, found, planted
from .tables import figures, reaction

Method = Callable[..., Explanation]
Row = dict[str, Any]


def evaluate(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    chosen: Sequence[str] = (),
    *,
    probes: int = 10,
    draws: int = 20,
    seed: int = 0,
    turned: bool = False,
    thresholds: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
) -> dict[str, Any]:
    """Measure the chosen methods (all valid ones if none) and the trivial maps on bona fide clips.

    Each clip gets swaps by one faker of SEEN and one of UNSEEN, in turn. probes: clips on which
    faithfulness and stability are measured as well, the first on which a method has something to
    explain. draws: planted detectors for each method. turned: methods, for slow ones, explain only
    the swaps that turn the verdict, and have no unconditional figures and no control; the trivial
    maps then have no faithfulness and stability. thresholds: the result of an evaluation on dev,
    whose thresholds F1 is taken at. scratch: file of JSON lines, one a clip, detector and method;
    what is there is not computed again. Returns {seed, corpus_hash, turned, clips, skipped,
    detectors, planted, weights, methods: {name: {detector: figures}}}, ready for JSON; weights are
    the detectors' digests. Raises ExplainError for a method that explains none of the
    detectors, a scratch file of another evaluation, and clips without speech.
    """
    valid = {name: _methods(detector, chosen) for name, detector in detectors.items()}
    names = list(dict.fromkeys(method for own in valid.values() for method in own))
    for name in chosen:
        if name not in names:
            raise ExplainError(
                f"'{name}' explains none of {', '.join(detectors)}; there are {', '.join(METHODS)}."
            )
    head = {"seed": seed, "corpus_hash": corpus_hash(clips), "turned": turned}
    rows = _Rows(scratch, head)
    total = len(clips) * sum(len(own) for own in valid.values())
    bench = {name: _Subject(name, detector) for name, detector in detectors.items()}
    with tqdm(total=total, desc="explaining", unit="clip x method", mininterval=1) as bar:
        for place, clip in enumerate(clips):
            for name, subject in bench.items():
                for method in valid[name]:
                    slow = turned and method in METHODS
                    probed = rows.probed[name, method] < probes and (slow or not turned)
                    key = (clip.id, name, subject.pin, method, probed)
                    if key not in rows:
                        subject.take(clip, place, seed)
                        rows.add(key, subject.judge(method, probed, slow))
                    bar.update()
    used = rows.used
    if not any(row["swaps"] for row in used):
        raise ExplainError(f"None of the {len(clips)} clips holds half a second of speech.")
    exact = planted(Additive([draw(0)[0]]))
    return {
        **head,
        "clips": len(clips),
        "skipped": sorted({row["clip"] for row in used if row["skipped"]}),
        "detectors": {name: reaction([r for r in used if r["detector"] == name]) for name in bench},
        "planted": {
            name: found(METHODS[name].attribute, draws)
            for name in names
            if draws and name in methods(exact)
        },
        "weights": {name: detector.digest for name, detector in detectors.items()},
        "methods": figures(used, names, list(detectors), thresholds, turned),
    }


def _methods(detector: Detector, chosen: Sequence[str]) -> list[str]:
    return [name for name in methods(detector) if not chosen or name in chosen] + list(TRIVIAL)


class _Subject:
    """One detector, and the clip that it is being tried on."""

    def __init__(self, name: str, detector: Detector) -> None:
        self.name, self.detector = name, detector
        # a retrained or recalibrated detector starts anew
        self.pin = detector.digest
        self.clip = ""
        self.swaps: list[Swap] = []
        self._scrambled: Detector | None = None
        self._random: dict[str, Row] = {}  # deletion and insertion of this clip in random order

    def take(self, clip: Clip, place: int, seed: int) -> None:
        """Make and score this clip's swaps, unless it is the one that is there already."""
        if clip.id == self.clip:
            return
        x = decode(clip.path)[: self.detector.config.window]
        fakers = [some[place % len(some)] for some in (SEEN, UNSEEN)]
        self._random = {}
        self.clip, self.swaps = clip.id, make_swaps(x, clip.id, fakers, seed)
        self.before = self._llr(bare(x)) if self.swaps else 0.0
        self.after = [self._llr(swap.wave) for swap in self.swaps]

    def judge(self, method: str, probed: bool, turned: bool) -> Row:
        """All that is measured of one method on this clip, or on its swaps that turn the verdict.

        See `tables` for the fields.
        """
        row: Row = {
            "clip": self.clip,
            "detector": self.name,
            "method": method,
            "skipped": not self.swaps,
            "swaps": [],
            "seconds": [],
            "residual": None,
            "probe": None,
            "failed": None,
        }
        attribute = TRIVIAL.get(method) or METHODS[method].attribute
        try:
            lacking: set[str] = set()
            for swap, after in zip(self.swaps, self.after, strict=True):
                axis = "band" if swap.kind == "band" else "time"
                verdict = self._verdict(swap, after)
                if axis in lacking or (turned and not verdict["flipped"]):
                    continue
                started = time.perf_counter()
                explanation = attribute(self.detector, swap.wave)
                seconds = time.perf_counter() - started
                lacking = {a for a in ("time", "band") if not localisation.has_axis(explanation, a)}
                cells = localisation.relevance(explanation, axis, swap.grid)
                if cells is None:
                    continue
                row["seconds"].append(seconds)
                if not math.isnan(explanation.residual):
                    row["residual"] = max(row["residual"] or 0.0, explanation.residual)
                row["swaps"].append({**verdict, **_compare(cells, swap)})
                if probed and swap.kind != "control" and row["probe"] is None:
                    row["probe"] = self._probe(attribute, swap, axis, explanation)
        except ExplainError as error:
            row["failed"] = str(error)
        return row

    def _verdict(self, swap: Swap, after: float) -> Row:
        threshold = self.detector.config.calibration.threshold
        return {
            "kind": swap.kind,
            "faker": swap.faker,
            "shift": after - self.before,
            "real_before": self.before <= threshold,
            "flipped": self.before <= threshold < after,
        }

    def _llr(self, wave: Waveform) -> float:
        return self.detector.score(wave).llr

    def _probe(self, attribute: Method, swap: Swap, axis: str, here: Explanation) -> Row:
        if self._scrambled is None:
            self._scrambled = scramble(self.detector)
        if axis not in self._random:
            self._random[axis] = faithfulness(self.detector, swap.wave, axis)
        answers = probe(self.detector, attribute, swap.wave, axis, here, self._scrambled)
        return {**answers, "random_order": self._random[axis]}


def _compare(cells: np.ndarray, swap: Swap) -> Row:
    truth = swap.truth
    measured = {
        "auc": localisation.localisation_auc(cells, truth),
        "rra": localisation.relevance_rank(cells, truth),
        "rma": localisation.relevance_mass(cells, truth),
        "pointing": localisation.pointing(cells, truth),
        "chance": localisation.chance(truth),
    }
    inside = np.flatnonzero(truth)
    return {
        **measured,
        "cells": [float(f"{value:.5g}") for value in cells],
        "inside": [int(inside[0]), int(inside[-1]) + 1],
    }


class _Rows:
    """Rows by their key, kept in a file as they come, so that a killed run can go on."""

    def __init__(self, path: Path | None, head: dict[str, Any]) -> None:
        self._path = path
        self._there: dict[str, Row] = {}
        self.used: list[Row] = []
        self.probed: Counter[tuple[str, str]] = Counter()  # clips, by detector and method
        if path is None:
            return
        if path.is_file():
            lines = list(_lines(path))
            if not lines or lines[0] != head:
                raise ExplainError(
                    f"{path} holds the clips of another evaluation; move it away, or write this "
                    "one under another name."
                )
            self._there = {json.dumps(line["key"]): line["row"] for line in lines[1:]}
        else:
            path.write_text(json.dumps(head) + "\n")

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        """Is it there? If so it counts as used."""
        row = self._there.get(json.dumps(key))
        if row is not None:
            self._use(row)
        return row is not None

    def _use(self, row: Row) -> None:
        self.used.append(row)
        self.probed[row["detector"], row["method"]] += row["probe"] is not None

    def add(self, key: tuple[Any, ...], row: Row) -> None:
        self._use(row)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "row": row}) + "\n")


def _lines(path: Path) -> Iterator[Any]:
    """The JSON lines of a file; one that a kill cut short is left out, and computed again."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                try:
                    yield json.loads(line)
                except ValueError:
                    yield None
