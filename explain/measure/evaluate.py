"""Explanations against ground truth: does a method find what was spliced into a clip?

    result = evaluate(clips, {"cnn": load("cnn")}, scratch=Path("dev.clips.jsonl"))
    print(markdown(result))     # tables.py

Bona fide clips get a known segment or band exchanged (`partial_spoofs`), every method explains
them, and the maps are compared with what was exchanged (`localisation`), beside maps that know
nothing (`baselines`). What the figures mean is said in `tables`.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from corpora.audio import MAX_UNREADABLE, read_clip, refuse_unreadable
from corpora.manifest import Clip, corpus_hash
from detectors.audio import bare
from detectors.detector import Detector
from detectors.files import write
from detectors.tables import Row
from evaluation.metrics import auc

from .. import METHODS, methods
from ..explanation import ExplainError, Explanation
from . import localisation
from .baselines import BASELINES
from .faithfulness import Attribute, check, faithfulness, scramble
from .partial_spoofs import SEEN, UNSEEN, PartialSpoof, partial_spoofs
from .planted import Additive, draw, found, planted
from .tables import Trial, exact, reactions, summarise


def evaluate(
    clips: Sequence[Clip],
    detectors: Mapping[str, Detector],
    chosen: Sequence[str] = (),
    *,
    scratch: Path,
    checks: int = 10,
    draws: int = 20,
    seed: int = 0,
    flipped_only: bool = False,
    dev: Sequence[Row] = (),
    max_unreadable: float = MAX_UNREADABLE,
) -> dict[str, Any]:
    """Measure the chosen methods (all valid ones if none) and the baselines on bona fide clips.

    Each clip is spliced by one faker of SEEN and one of UNSEEN, in turn.

    Args:
        scratch: File of JSON lines, one a clip, detector and method; what is there is not computed
            again.
        checks: Clips on which faithfulness and stability are measured as well, the first on which
            a method has something to explain.
        draws: Planted detectors for each method.
        flipped_only: Methods, slow ones, explain only the splices that turn the verdict, and have
            no figures over all splices and no control; baselines then have no checks.
        dev: Rows of an evaluation on dev, whose thresholds F1 is taken at.
        max_unreadable: Share of the clips that may be unreadable; they are skipped.

    Returns:
        {seed, corpus_hash, flipped_only, clips, skipped, digests: {detector: digest}, rows}, ready
        for JSON; rows are flat, see `tables`.

    Raises:
        ExplainError: A method explains none of the detectors, the scratch file is of another
            evaluation, or no clip holds speech.
        HearsayError: Too many clips cannot be read.
    """
    valid = {name: _methods(detector, chosen) for name, detector in detectors.items()}
    names = list(dict.fromkeys(method for own in valid.values() for method in own))
    for name in chosen:
        if name not in names:
            raise ExplainError(
                f"'{name}' explains none of {', '.join(detectors)}; there are {', '.join(METHODS)}."
            )
    head = {"seed": seed, "corpus_hash": corpus_hash(clips), "flipped_only": flipped_only}
    log = _Log(scratch, head)
    unreadable: dict[str, str] = {}
    total = len(clips) * sum(len(own) for own in valid.values())
    with tqdm(total=total, desc="explaining", unit="clip x method", mininterval=1) as bar:
        for place, clip in enumerate(clips):
            fakers = [some[place % len(some)] for some in (SEEN, UNSEEN)]
            for name, detector in detectors.items():
                case: _Case | None = None
                for method in valid[name]:
                    slow = flipped_only and method in METHODS
                    checked = log.checked[name, method] < checks and (slow or not flipped_only)
                    key = (clip.id, name, detector.digest, method, checked)
                    if key not in log:
                        case = case or _Case(clip, detector, fakers, seed, unreadable)
                        names_ = {"clip": clip.id, "detector": name, "method": method}
                        log.add(key, names_ | case.judge(method, checked, slow))
                    bar.update()
    refuse_unreadable(unreadable, len(clips), max_unreadable)
    if not any(trial["splices"] for trial in log.trials):
        raise ExplainError(f"None of the {len(clips)} clips holds half a second of speech.")
    return {
        **head,
        "clips": len(clips),
        "skipped": sorted({trial["clip"] for trial in log.trials if trial["skipped"]}),
        "digests": {name: detector.digest for name, detector in detectors.items()},
        "rows": [
            *summarise(log.trials, dev, flipped_only),
            *reactions(log.trials),
            *_planted(names, draws),
        ],
    }


def _methods(detector: Detector, chosen: Sequence[str]) -> list[str]:
    return [name for name in methods(detector) if not chosen or name in chosen] + list(BASELINES)


def _planted(names: Sequence[str], draws: int) -> Iterator[Row]:
    """How often methods find evidence that was planted in a detector of closed form."""
    valid = methods(planted(Additive([draw(0)[0]])))
    for name in names:
        if draws and name in valid:
            shares = found(METHODS[name].attribute, draws)
            for condition, value in shares.items():
                if value is not None:
                    metric = "residual" if condition == "residual" else "pointing"
                    yield exact(
                        value, draws,
                        detector="planted", method=name, condition=condition, metric=metric,
                    )  # fmt: skip


class _Case:
    """The partial spoofs of one clip, and what one detector says of them."""

    def __init__(
        self,
        clip: Clip,
        detector: Detector,
        fakers: Sequence[str],
        seed: int,
        unreadable: dict[str, str],
    ) -> None:
        wave = read_clip(clip, unreadable)
        x = wave.samples[: detector.config.window] if wave else np.zeros(0, np.float32)
        self.detector = detector
        self.spoofs = partial_spoofs(x, clip.id, fakers, seed)
        self.before = detector.score(bare(x)).llr if self.spoofs else 0.0
        self.after = [detector.score(spoof.wave).llr for spoof in self.spoofs]
        self._random_order: dict[str, Row] = {}  # deletion and insertion of this clip, by axis

    @cached_property
    def scrambled(self) -> Detector:
        return scramble(self.detector)

    def judge(self, method: str, checked: bool, flipped_only: bool) -> Trial:
        """All that is measured of one method on this clip, or on its splices that flip the verdict.

        See `tables` for the fields.
        """
        trial: Trial = {
            "skipped": not self.spoofs,
            "splices": [],
            "seconds": [],
            "residual": None,
            "checks": None,
            "failed": None,
        }
        attribute = BASELINES.get(method) or METHODS[method].attribute
        lacking: set[str] = set()
        try:
            for spoof, after in zip(self.spoofs, self.after, strict=True):
                verdict = self._verdict(spoof, after)
                if spoof.axis in lacking or (flipped_only and not verdict["flipped"]):
                    continue
                started = time.perf_counter()
                explanation = attribute(self.detector, spoof.wave)
                seconds = time.perf_counter() - started
                lacking = {a for a in ("time", "band") if not localisation.has_axis(explanation, a)}
                cells = localisation.relevance(explanation, spoof.axis, spoof.grid)
                if cells is None:
                    continue
                trial["seconds"].append(seconds)
                if not math.isnan(explanation.residual):
                    trial["residual"] = max(trial["residual"] or 0.0, explanation.residual)
                trial["splices"].append(verdict | _compare(cells, spoof))
                if checked and spoof.kind != "control" and trial["checks"] is None:
                    trial["checks"] = self._check(method, attribute, spoof, explanation)
        except ExplainError as error:
            trial["failed"] = str(error)
        return trial

    def _verdict(self, spoof: PartialSpoof, after: float) -> Row:
        threshold = self.detector.config.calibration.threshold
        return {
            "kind": spoof.kind,
            "faker": spoof.faker,
            "shift": after - self.before,
            "real_before": self.before <= threshold,
            "flipped": self.before <= threshold < after,
        }

    def _check(
        self, method: str, attribute: Attribute, spoof: PartialSpoof, here: Explanation
    ) -> Row:
        axis, wave = spoof.axis, spoof.wave
        if axis not in self._random_order:
            self._random_order[axis] = faithfulness(self.detector, wave, axis)
        stochastic = METHODS[method].stochastic if method in METHODS else method == "random"
        found = check(self.detector, attribute, wave, axis, here, self.scrambled, stochastic)
        return {**found, "random_order": self._random_order[axis]}


def _compare(cells: np.ndarray, spoof: PartialSpoof) -> Row:
    truth = spoof.truth
    inside = np.flatnonzero(truth)
    return {
        "auc": auc(cells, truth),
        "rra": localisation.relevance_rank(cells, truth),
        "rma": localisation.relevance_mass(cells, truth),
        "pointing": localisation.pointing(cells, truth),
        "chance": localisation.chance(truth),
        "cells": [float(f"{value:.5g}") for value in cells],
        "inside": [int(inside[0]), int(inside[-1]) + 1],
    }


class _Log:
    """Trials by their key, kept in a file as they come, so that a killed run can go on."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self._path = path
        self._known: dict[str, Trial] = {}
        self.trials: list[Trial] = []  # those of this run
        self.checked: Counter[tuple[str, str]] = Counter()  # clips, by detector and method
        if not path.is_file():
            write(path, json.dumps(head) + "\n")
            return
        lines = [_parsed(line) for line in path.read_text().splitlines()]
        if lines[:1] != [head]:
            raise ExplainError(
                f"{path} holds the clips of another evaluation; move it away, or write this "
                "one under another name."
            )
        self._known = {json.dumps(line["key"]): line["trial"] for line in lines[1:] if line}

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        """Is it there? If so it counts as one of this run's."""
        trial = self._known.get(json.dumps(key))
        if trial is not None:
            self._use(trial)
        return trial is not None

    def add(self, key: tuple[Any, ...], trial: Trial) -> None:
        self._use(trial)
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "trial": trial}) + "\n")

    def _use(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.checked[trial["detector"], trial["method"]] += trial["checks"] is not None


def _parsed(line: str) -> Any:
    """A JSON line; None for one that a kill cut short, which is computed again."""
    try:
        return json.loads(line)
    except ValueError:
        return None
