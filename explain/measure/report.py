"""`python -m explain evaluate`: the evaluation with its table, its file and its run in MLflow."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora.manifest import ManifestError
from detectors import load
from detectors.files import write
from evaluation.tracking import Run

from .. import METHODS
from ..explanation import ExplainError
from .bench import measure
from .clips import clips_of
from .evaluate import evaluate
from .tables import fidelity, localisation, reactions

EXPERIMENT = "explanations"


def report(
    manifest: Path,
    split: str | None,
    detectors: Sequence[str],
    methods: Sequence[str],
    *,
    clips: int | None = None,
    probes: int = 10,
    seed: int = 0,
    turned: bool = False,
    thresholds: Path | None = None,
    out: Path | None = None,
    track: bool = False,
) -> str:
    """Evaluate, write `out` and beside it each clip's rows, log a run, and return the tables.

    clips: that many bona fide clips of the split, in an order that `seed` draws, so that more
    clips go on from fewer; all if None. turned: see `evaluate`. thresholds: the JSON file of an
    evaluation on dev. out: where rows are kept as NAME.clips.jsonl, from which a killed run goes
    on. track: log to MLflow.
    Raises ExplainError, DetectorError or RegistryError.
    """
    dev = _dev(thresholds) if thresholds else None
    chosen = clips_of(manifest, split, clips, seed, spoof=False)
    opened = {name: load(name) for name in detectors}
    rows = out.with_suffix(".clips.jsonl") if out else None
    try:
        result = evaluate(
            chosen,
            opened,
            methods,
            probes=probes,
            seed=seed,
            turned=turned,
            thresholds=dev,
            scratch=rows,
        )
    except ManifestError as error:
        raise ExplainError(str(error)) from error
    except OSError as error:
        raise ExplainError(f"{rows} cannot be written: {error.strerror}.") from error
    for method, own in result["methods"].items():
        for name, figures in own.items():
            if method in METHODS:
                figures["peak_mb"] = measure(name, method)["peak_mb"]
    result = {"manifest_split": split, **result}
    text = markdown(result)
    if out:
        write(out, json.dumps(result, indent=1, allow_nan=False) + "\n")
    if track:
        log(result, text)
    return text


def markdown(result: Mapping[str, Any]) -> str:
    """The tables that a person reads: what was found, what it is worth, how swaps were taken."""
    parts = [f"{result['clips']} bona fide clips, split {result['manifest_split'] or 'all'}."]
    for name in result["detectors"]:
        own = {m: by[name] for m, by in result["methods"].items() if name in by}
        parts += [
            f"**{name}**",
            localisation(own),
            fidelity(own),
            reactions(result["detectors"][name]),
        ]
    return "\n\n".join(parts)


def log(result: Mapping[str, Any], text: str) -> None:
    """Write a run in MLflow: the figures as metrics, the JSON and the tables as files."""
    params = {key: result[key] for key in ("manifest_split", "clips", "seed", "corpus_hash")}
    with Run(EXPERIMENT, f"evaluate-{result['manifest_split'] or 'all'}", params) as run:
        numbers = {}
        for method, own in result["methods"].items():
            for detector, figures in own.items():
                for kind in ("time_swap", "band_swap", "control"):
                    for score in ("auc", "rra", "rma", "pointing"):
                        value = figures[kind][score]
                        if value is not None:
                            numbers[f"{method}/{detector}/{kind}/{score}"] = value
        run.metrics(0, **numbers)
        with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
            (Path(folder) / "explanations.json").write_text(json.dumps(result, indent=1))
            (Path(folder) / "explanations.md").write_text(text + "\n")
            run.folder(Path(folder), "explanations")


def _dev(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text())
    except OSError as error:
        raise ExplainError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:
        result = None
    if not isinstance(result, dict) or "methods" not in result:
        raise ExplainError(f"{path} is no result of `python -m explain evaluate`.")
    return result
