"""python -m explain clip | evaluate | audit | corpus | bench: what decided, and how sure it is."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from detectors import HearsayError, bundled, load, read
from detectors.assessment import ranked
from detectors.commandline import (
    Commands,
    add_detectors,
    add_max_unreadable,
    chosen_detectors,
    count,
    natural,
    output,
    run,
)
from detectors.files import write

from . import METHODS, Explanation, decisive_seconds, explain
from .explanation import by_size, in_llr
from .hit_rates import default_method


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and one sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m explain", description=__doc__)
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return run(parser, arguments)


def add_commands(commands: Commands) -> None:
    """Add the parser of each command; its default `command` runs it."""
    clip = commands.add_parser("clip", help="explain what a detector says about one recording")
    clip.set_defaults(command=_clip)
    clip.add_argument("file", metavar="FILE")
    add_detectors(clip, "--detector", nargs=1, default=[], metavar="NAME", help="default: the best")
    clip.add_argument(
        "--method", help=f"one of {', '.join(METHODS)}; default: what was measured to be the best"
    )
    clip.add_argument("--players", type=int, help="windows of shapley-time, 2 to 64; default: 8")
    clip.add_argument(
        "--json", type=output, metavar="OUT", help="write the whole explanation; - for stdout"
    )
    clip.add_argument("--png", type=output, metavar="OUT", help="draw it")

    evaluate = commands.add_parser("evaluate", help="do methods find what was planted in a clip?")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("--manifest", type=Path, required=True)
    evaluate.add_argument("--split", help="default: every clip of the manifest")
    evaluate.add_argument("--detectors", nargs="+", help="default: the bundled ones")
    evaluate.add_argument("--methods", nargs="+", default=[], help="default: all valid ones")
    evaluate.add_argument("--clips", type=count, help="bona fide clips; default: all of the split")
    evaluate.add_argument("--checks", type=natural, default=10, help="clips for stability etc.")
    evaluate.add_argument("--seed", type=natural, default=0)
    evaluate.add_argument(
        "--flipped-only",
        action="store_true",
        help="for slow methods: splices that flip the verdict",
    )
    evaluate.add_argument("--dev", type=Path, metavar="JSON", help="from split dev")
    evaluate.add_argument("--json", type=output, metavar="OUT")
    evaluate.add_argument("--out", type=output, metavar="FOLDER", help="merge into its NAME.json")
    add_max_unreadable(evaluate)
    evaluate.add_argument("--track", action="store_true", help="log everything to MLflow")

    audit = commands.add_parser("audit", help="which harmless changes turn how many verdicts?")
    audit.set_defaults(command=_audit)
    _add_corpus(audit)

    corpus = commands.add_parser("corpus", help="where evidence lies, by what made the clip")
    corpus.set_defaults(command=_corpus)
    _add_corpus(corpus)
    corpus.add_argument("--by", choices=("system", "family", "source"), default="system")
    corpus.add_argument("--methods", nargs="+", default=[], help="default: Shapley values")
    corpus.add_argument("--png", type=output, metavar="OUT", help="draw it")

    bench = commands.add_parser("bench", help="time and peak memory of every method")
    bench.set_defaults(command=_bench)
    bench.add_argument("--detectors", nargs="+", help="default: the bundled ones")
    bench.add_argument("--methods", nargs="+", default=[], help="default: all valid ones")
    bench.add_argument("--no-naive", action="store_true", help="leave out the naive game, minutes")
    bench.add_argument("--json", action="store_true")

    tables = commands.add_parser("tables", help="write a document's tables from what was measured")
    tables.set_defaults(command=_tables)
    tables.add_argument("files", nargs="+", type=Path, metavar="FILE")


def _clip(options: argparse.Namespace) -> int:
    wave = read(options.file)
    detectors = ranked(chosen_detectors(options.detectors, options.bundled))
    if not detectors:
        raise HearsayError("No detector is in service; name one with --detector.")
    detector = next(iter(detectors.values()))
    chosen: dict[str, Any] = {} if options.players is None else {"players": options.players}
    method = options.method or ("shapley-time" if chosen else default_method(detector))
    explanation = in_llr(explain(detector, wave, method, **chosen), detector)
    if options.png:
        from .draw import png  # matplotlib takes a second to import; only figures pay

        write(options.png, png(explanation, wave))
    if options.json == Path("-"):
        print(explanation.to_json())
        return 0
    if options.json:
        write(options.json, f"{explanation.to_json()}\n")
    print(summary(explanation))
    return 0


def _tables(options: argparse.Namespace) -> int:
    from .measure.documents import update

    for path in update(options.files):
        print(path)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from .measure.report import report

    text = report(
        options.manifest,
        options.split,
        options.detectors or bundled(),
        options.methods,
        clips=options.clips,
        checks=options.checks,
        seed=options.seed,
        flipped_only=options.flipped_only,
        dev=options.dev,
        out=options.json,
        measured=options.out,
        max_unreadable=options.max_unreadable,
        track=options.track,
    )
    print(text)
    return 0


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", help="default: every clip of the manifest")
    parser.add_argument("--detectors", nargs="+", help="default: the bundled ones")
    parser.add_argument("--clips", type=count, help="that many, drawn at random; default: all")
    parser.add_argument("--seed", type=natural, default=0, help="of the draw")
    parser.add_argument("--json", type=output, metavar="OUT")


def _audit(options: argparse.Namespace) -> int:
    from .measure.audit_corpus import audit_corpus, markdown

    result = _over_corpus(options, audit_corpus)
    print(markdown(result))
    return 0


def _corpus(options: argparse.Namespace) -> int:
    from .measure.cue_map import cue_map, markdown

    result = _over_corpus(options, partial(cue_map, by=options.by, chosen=options.methods))
    if options.png:
        from .measure.cue_map_figure import png

        write(options.png, png(result))
    print(markdown(result))
    return 0


def _over_corpus(
    options: argparse.Namespace, measure: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """What is measured of the detectors on the clips that `_add_corpus` names, written as JSON."""
    from corpora.manifest import sample

    clips = sample(options.manifest, options.split, options.clips, options.seed)
    detectors = {name: load(name) for name in options.detectors or bundled()}
    result = {"split": options.split, "seed": options.seed, **measure(clips, detectors)}
    if options.json:
        write(options.json, f"{json.dumps(result, indent=1, allow_nan=False)}\n")
    return result


def _bench(options: argparse.Namespace) -> int:
    from .measure.bench import bench, markdown

    result = bench(options.detectors or bundled(), options.methods, not options.no_naive)
    print(json.dumps(result, indent=1) if options.json else markdown(result))
    return 0


def summary(explanation: Explanation) -> str:
    """The strongest segments, or all names by size, with their direction; then what it cost."""
    of = f"{explanation.method} on {explanation.detector}"
    lines = [f"{of}, {explanation.unit} {explanation.full:+.3f}"]
    lines += explanation.notes
    if explanation.names:
        parts = [(f"{name:16}", value) for name, value in by_size(explanation)]
    else:
        segments = decisive_seconds(explanation)
        parts = [(f"{start:6.2f} to {end:6.2f} s", value) for start, end, value in segments]
    for what, value in parts:
        lines.append(f"  {what}  {value:+8.3f}  towards {'fake' if value > 0 else 'real'}")
    residual = explanation.residual
    promise = "no completeness promised" if math.isnan(residual) else f"residual {residual:.1e}"
    lines.append(
        f"{promise}, {explanation.forwards} forwards, {explanation.seconds:.1f} s, "
        f"peak {explanation.peak_mb:.0f} MB"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
