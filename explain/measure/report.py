"""`python -m explain evaluate`: the evaluation with its tables, its files and its run in MLflow."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora.audio import MAX_UNREADABLE
from corpora.manifest import sample
from detectors import load
from detectors.files import write
from detectors.tables import Row
from evaluation.tracking import Run

from .. import METHODS
from ..explanation import ExplainError
from .baselines import BASELINES
from .bench import measure
from .evaluate import evaluate
from .tables import SCORES, exact, markdown

EXPERIMENT = "explanations"
UNMEASURED: Mapping[str, Any] = {"rows": (), "digests": {}}
QUOTED = {  # condition -> metrics: what the page and the documents say, kept by `merge`
    "time": ("auc", "pointing", "chance"),
    "band": ("auc", "pointing", "chance"),
    **dict.fromkeys(("time all", "time seen", "time unseen"), ("auc",)),
    **dict.fromkeys(("band all", "band seen", "band unseen"), ("auc",)),
    "noise": ("deletion", "deletion at random", "insertion", "insertion at random"),
    "stability": ("seed", "mp3", "scrambled", "noise"),
}


def report(
    manifest: Path,
    split: str | None,
    detectors: Sequence[str],
    methods: Sequence[str],
    *,
    clips: int | None = None,
    checks: int = 10,
    seed: int = 0,
    flipped_only: bool = False,
    dev: Path | None = None,
    out: Path | None = None,
    measured: Path | None = None,
    track: bool = False,
    max_unreadable: float = MAX_UNREADABLE,
) -> str:
    """Evaluate, write what was asked for, and return the tables.

    Args:
        clips: That many bona fide clips of the split; all if None.
        dev: The JSON file of an evaluation on dev, whose thresholds F1 is taken at, and by whose
            AUCs methods are chosen from then on.
        out: JSON of the result; each clip's trials are kept beside it as NAME.clips.jsonl, from
            which a killed run goes on.
        measured: Folder of one file a detector that the result is merged into, see `merge`.
        track: Log the result and the trials to MLflow.
        max_unreadable: Share of the clips that may be unreadable.

    Raises:
        HearsayError: Bad input, or the store of MLflow cannot be reached.
    """
    on_dev = _result(dev) if dev else UNMEASURED
    chosen = sample(manifest, split, clips, seed, "bonafide")
    opened = {name: load(name) for name in detectors}
    with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
        trials = out.with_suffix(".clips.jsonl") if out else Path(folder, "clips.jsonl")
        result = evaluate(
            chosen,
            opened,
            methods,
            scratch=trials,
            checks=checks,
            seed=seed,
            flipped_only=flipped_only,
            dev=on_dev["rows"],
            max_unreadable=max_unreadable,
        )
        result = {"split": split, **result, "rows": [*result["rows"], *_memory(result["rows"])]}
        text = markdown(result)
        if out:
            write(out, json.dumps(result, indent=1, allow_nan=False) + "\n")
        if measured:
            merge(measured, {name: d.config.name for name, d in opened.items()}, result, on_dev)
        if track:
            log(result, text, trials)
    return text


def merge(
    folder: Path,
    names: Mapping[str, str],
    result: Mapping[str, Any],
    dev: Mapping[str, Any] = UNMEASURED,
) -> None:
    """Put a result's figures into FOLDER/NAME.json, one file a detector; see `explain.hit_rates`.

    Of a figure that was measured before, the one over more splices or clips counts, and of equals
    the new one. A file of another detector of that name, one trained anew, is replaced.

    Args:
        names: Name of a detector in the result -> the one that its file gets.
        dev: Another result, on dev: the AUCs of the same detectors, by digest, go beside.
    """
    at_home = {digest: name for name, digest in dev["digests"].items()}
    folder.mkdir(exist_ok=True)
    for detector, name in names.items():
        path = folder / (re.sub(r"[^\w.-]", "-", name) + ".json")
        table: dict[str, Any] = {
            "digest": result["digests"][detector],
            "detector": name,
            "split": result["split"],
            "clips": result["clips"],
            "methods": {},
        }
        if path.is_file():
            old = json.loads(path.read_text())
            if old["digest"] == table["digest"]:
                table = old | {"clips": max(old["clips"], table["clips"])}
        known = table["methods"]
        for method, own in _figures(result, detector).items():
            own |= _aucs(dev["rows"], at_home.get(table["digest"]), method)
            other = known.setdefault(method, {"clips": 0})
            own["clips"] = max(own["clips"], other["clips"])
            other |= {k: v for k, v in own.items() if k not in other or _size(v) >= _size(other[k])}
        text = json.dumps(table, indent=1, allow_nan=False)
        write(path, re.sub(r"\[[^][]*\]", lambda figure: _on_a_line(figure[0]), text) + "\n")


def _figures(result: Mapping[str, Any], detector: str) -> dict[str, dict[str, Any]]:
    """{method: {clips, "condition/metric": [value, low, high, n]}}, baselines beside each."""
    made: dict[str, dict[str, Any]] = defaultdict(lambda: {"clips": result["clips"]})
    rows = [row for row in result["rows"] if row["detector"] == detector]
    for row in rows:
        method, condition, metric = row["method"], row["condition"], row["metric"]
        if method in METHODS and metric in QUOTED.get(condition, ()):
            made[method][f"{condition}/{metric}"] = _rounded(row)
    for row in rows:
        if row["method"] in BASELINES and row["metric"] == "auc":
            for own in made.values():
                if f"{row['condition']}/auc" in own and row["condition"] in ("time", "band"):
                    own[f"{row['condition']}/auc of {row['method']}"] = _rounded(row)
    return made


def _aucs(rows: Sequence[Row], detector: str | None, method: str) -> dict[str, Any]:
    """{"axis/auc on dev": figure} of a method on a detector."""
    return {
        f"{row['condition']}/auc on dev": _rounded(row)
        for row in rows
        if (row["detector"], row["method"], row["metric"]) == (detector, method, "auc")
        and row["condition"] in ("time", "band")
    }


def _size(figure: list[Any] | int) -> int:
    """The n of a figure, or a number of clips itself."""
    return figure if isinstance(figure, int) else int(figure[-1])


def _rounded(row: Row) -> list[float | None]:
    ends = (row["value"], row["low"], row["high"])
    return [*(None if end is None else float(f"{end:.6g}") for end in ends), row["n"]]


def _on_a_line(figure: str) -> str:
    return " ".join(figure.split()).replace("[ ", "[").replace(" ]", "]")


def _memory(rows: Sequence[Row]) -> list[Row]:
    """Peak memory of each method on each detector, in a process of its own."""
    pairs = dict.fromkeys((r["detector"], r["method"]) for r in rows if r["method"] in METHODS)
    return [
        exact(
            measure(detector, method)["peak_mb"], 1,
            detector=detector, method=method, condition="cost", metric="peak_mb",
        )
        for detector, method in pairs if detector != "planted"
    ]  # fmt: skip


def log(result: Mapping[str, Any], text: str, trials: Path) -> None:
    """Write a run in MLflow: the figures as metrics, result, tables and trials as files."""
    params = {key: result[key] for key in ("split", "clips", "seed", "corpus_hash")}
    with Run(EXPERIMENT, f"evaluate-{result['split'] or 'all'}", params) as run:
        figures = {
            "/".join(row[key] for key in ("method", "detector", "condition", "metric")): row[
                "value"
            ]
            for row in result["rows"]
            if row["condition"] in ("time", "band", "control") and row["metric"] in SCORES
        }
        run.metrics(0, **figures)
        with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
            Path(folder, "explanations.json").write_text(json.dumps(result, indent=1))
            Path(folder, "explanations.md").write_text(text + "\n")
            Path(folder, "clips.jsonl").write_bytes(trials.read_bytes())
            run.folder(Path(folder), "explanations")


def _result(path: Path) -> dict[str, Any]:
    """{rows, digests} of a result's file."""
    try:
        result = json.loads(path.read_text())
        return {"rows": list(result["rows"]), "digests": dict(result["digests"])}
    except OSError as error:
        raise ExplainError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExplainError(f"{path} is no result of `python -m explain evaluate`.") from error
