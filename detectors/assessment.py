"""One recording assessed by several detectors: plain values, and the JSON object that holds them.

    assessment = assess("clip.m4a", {"cnn": load("cnn")})
    print(json.dumps(assessment.to_dict()))

The page, its API, `python -m detectors score --json` and the registry's served models answer with
this. docs/answer.schema.json describes the object; `python -m detectors.assessment` prints it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from .audio import AudioError, Facts, Waveform, read
from .cautions import cautions
from .config import Calibration, Verdict
from .detector import Detector, Score, Window
from .scoring import ScoringSession
from .stretches import Stretch, find_stretches


@dataclass(frozen=True)
class DetectorResult:
    """What one detector says about a recording.

    version: its number in the registry, or "bundled". digest: SHA-256 of its config and weights.
    verdict and p_fake hold at the prior of the whole assessment; llr is the evidence alone (natural
    log, positive = fake). calibration: its threshold and its band of "inconclusive". figures: error
    rates that were measured with it, by split. milliseconds: what scoring took; a network that two
    detectors share runs once. stretches: parts that contradict the rest; where there are any, the
    verdict is "mixed", while llr and p_fake are those of the whole.
    """

    name: str
    version: str
    digest: str
    p_fake: float
    verdict: Verdict
    llr: float
    windows: tuple[Window, ...]
    calibration: Calibration
    figures: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    milliseconds: float
    stretches: tuple[Stretch, ...] = ()

    def at(self, prior: float) -> DetectorResult:
        """The same evidence under another prior (0..1, exclusive)."""
        stretches = find_stretches(self.windows, self.calibration, prior)
        return replace(
            self,
            p_fake=Score(self.llr, ()).p_fake(prior),
            verdict="mixed" if stretches else self.calibration.verdict(self.llr, prior),
            stretches=stretches,
        )

    def eer(self, split: str) -> float | None:
        """Equal error rate measured on "dev" or "test", 0..1, None where none was."""
        return self.figures.get(split, {}).get("eer")

    @property
    def strongest_window(self) -> Window:
        """The window that speaks most for fake."""
        return max(self.windows, key=lambda window: window.llr)


@dataclass(frozen=True)
class Assessment:
    """What several detectors say about a recording, or why they cannot.

    verdict, p_fake, llr, windows and stretches are those of `detector`, the best on dev unless
    another was asked for; null where there is no verdict, and then error is a sentence that says
    why and error_kind its kind in a word. prior: share of fakes among recordings like this one.
    models: all detectors, the best first. facts: of the recording. cautions: what about it makes
    this verdict weaker, in sentences. notices: what went wrong on the way.
    """

    file: str | None = None
    prior: float = 0.5
    verdict: Verdict | None = None
    p_fake: float | None = None
    llr: float | None = None
    detector: str | None = None
    windows: tuple[Window, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    models: tuple[DetectorResult, ...] = ()
    facts: Facts | None = None
    cautions: tuple[str, ...] = ()
    read_ms: float | None = None
    error: str | None = None
    error_kind: str | None = None
    notices: tuple[str, ...] = ()

    def model(self, name: str) -> DetectorResult:
        """The result of one detector; KeyError where it has none."""
        return {result.name: result for result in self.models}[name]

    def at(self, prior: float) -> Assessment:
        """The same evidence under another prior (0..1, exclusive)."""
        models = tuple(result.at(prior) for result in self.models)
        weighed = replace(self, prior=prior, models=models)
        return weighed if self.detector is None else weighed.by(self.detector)

    def by(self, name: str) -> Assessment:
        """The same with the verdict of another detector; an error where it has none."""
        names = [result.name for result in self.models]
        if name not in names:
            reason = f"No detector '{name}' is in service; there are: {', '.join(names) or 'none'}."
            return Assessment(
                self.file,
                self.prior,
                models=self.models,
                facts=self.facts,
                cautions=self._cautions(),
                read_ms=self.read_ms,
                error=reason,
                error_kind="no-detector",
                notices=self.notices,
            )
        main = self.model(name)
        return replace(
            self,
            verdict=main.verdict,
            p_fake=main.p_fake,
            llr=main.llr,
            detector=name,
            windows=main.windows,
            stretches=main.stretches,
            cautions=(*self._cautions(), *main.notes),
        )

    def _cautions(self) -> tuple[str, ...]:
        """Those that hold whichever detector gives the verdict."""
        return () if self.facts is None else cautions(self.facts)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return ADAPTER.dump_python(self, mode="json")


def assess(
    source: str | Path | bytes | tuple[int, np.ndarray],
    detectors: Mapping[str, Detector],
    prior: float = 0.5,
    max_seconds: float | None = None,
    lock: AbstractContextManager[object] | None = None,
    pause: Callable[[], None] | None = None,
) -> Assessment:
    """Read a recording and score it by every detector.

    Args:
        source: see `read`, as is max_seconds.
        detectors: by the names that they go by in the result.
        prior: share of fakes among recordings like this one, 0..1, exclusive.
        lock: held while detectors run, if given.
        pause: see `ScoringSession`.

    Raises:
        ValueError: for another prior. What is wrong with the recording is in the result's `error`.
    """
    started = time.perf_counter()
    file = str(source) if isinstance(source, str | Path) else None
    try:
        wave = read(source, max_seconds=max_seconds)
    except AudioError as error:
        return Assessment(file, prior, error=str(error), error_kind=error.kind)
    read_ms = _milliseconds_since(started)
    with lock or nullcontext():
        *_, last = assess_by_each(wave, detectors, prior, pause)
    return replace(last, file=file, read_ms=read_ms)


def assess_by_each(
    wave: Waveform,
    detectors: Mapping[str, Detector],
    prior: float = 0.5,
    pause: Callable[[], None] | None = None,
) -> Iterator[Assessment]:
    """Yield what is known before each detector scores, the best first (`ranked`), and at the end.

    A detector that gives no usable number is left out, and a notice says so. pause: see
    `ScoringSession`.
    """
    found = Assessment(prior=prior, facts=wave.facts, cautions=cautions(wave.facts))
    scorer = ScoringSession(wave, pause)
    for name, detector in ranked(detectors).items():
        yield found
        started = time.perf_counter()
        score = scorer.score(detector)
        took = _milliseconds_since(started)
        if not math.isfinite(score.llr):
            notice = f"{name} gave no usable number for this recording and was left out."
            found = replace(found, notices=(*found.notices, notice))
            continue
        result = DetectorResult(
            name=name,
            version=detector.version,
            digest=detector.digest,
            p_fake=score.p_fake(),
            verdict=detector.config.calibration.verdict(score.llr),
            llr=score.llr,
            windows=score.windows,
            calibration=detector.config.calibration,
            figures=detector.config.figures,
            notes=score.notes,
            milliseconds=took,
        ).at(prior)
        found = replace(found, models=(*found.models, result)).by(found.detector or name)
    if not found.models and found.notices:
        found = replace(found, error=" ".join(found.notices), error_kind="no-number")
    elif not found.models:
        found = replace(found, error="No detector is in service.", error_kind="no-detector")
    yield found


def ranked(detectors: Mapping[str, Detector]) -> dict[str, Detector]:
    """Detectors by Cllr on dev, the best first; equal ones by name, unmeasured ones last.

    The first one gives the verdict, the others are second opinions: its error rates were measured,
    while those of a vote would be anybody's guess.
    """
    return dict(sorted(detectors.items(), key=lambda item: (*item[1].config.rank[:2], item[0])))


def schema() -> dict[str, Any]:
    """The JSON schema of `Assessment.to_dict`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | ADAPTER.json_schema(mode="serialization")


def _milliseconds_since(started: float) -> float:
    return round(1000 * (time.perf_counter() - started), 1)


ADAPTER = TypeAdapter(Assessment)

if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
