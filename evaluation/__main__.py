"""python -m evaluation evaluate | evaluate-recordings | robustness"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors import bundled
from detectors.commandline import (
    Commands,
    add_manifest,
    add_max_unreadable,
    chosen_manifest,
    count,
    natural,
    output,
    run,
)
from detectors.errors import HearsayError
from detectors.files import whole

if TYPE_CHECKING:
    from detectors import Detector


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and a sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return run(parser, arguments)


def add_commands(commands: Commands) -> None:
    """Add the parser of each command; its default `command` runs it."""

    evaluate = commands.add_parser("evaluate", help="error rates on a labelled manifest")
    evaluate.set_defaults(command=_evaluate)
    add_manifest(evaluate)
    evaluate.add_argument("--split", help="default: every clip of the manifest")
    evaluate.add_argument("--models", nargs="*", default=[], help="default: the bundled ones")
    evaluate.add_argument(
        "--conditions",
        action="store_true",
        help="each clip as a voice message, over the telephone, in noise ... (corpora/channels.py)",
    )
    evaluate.add_argument("--json", type=output, metavar="OUT")
    evaluate.add_argument("--scores", type=output, metavar="CSV", help="each clip's LLRs")
    evaluate.add_argument("--seed", type=natural, default=0)
    add_max_unreadable(evaluate)

    recordings = commands.add_parser(
        "evaluate-recordings", help="long recordings: partly fake ones, and more speech"
    )
    recordings.set_defaults(command=_evaluate_recordings)
    add_manifest(recordings)
    recordings.add_argument("--split", required=True, help="held out from training")
    recordings.add_argument("--models", nargs="+", default=[], help="default: the best bundled one")
    recordings.add_argument("--fit", action="store_true", help="and write it into their folders")
    recordings.add_argument("--voices", type=count, default=24, help="and systems, at most")
    recordings.add_argument("--rounds", type=count, default=1, help="recordings of each")
    recordings.add_argument("--cache", type=Path, default=Path("runs/windows"), help="of scores")
    recordings.add_argument("--json", type=output, metavar="OUT")
    recordings.add_argument("--seed", type=natural, default=0)
    add_max_unreadable(recordings)

    robustness = commands.add_parser("robustness", help="do harmless changes move the answers?")
    robustness.set_defaults(command=_robustness)
    add_manifest(robustness)
    robustness.add_argument("--split", default="dev")
    robustness.add_argument("--models", nargs="*", default=[], help="default: the bundled ones")
    robustness.add_argument("--clips", type=natural, help="so many, drawn by chance (default: all)")
    robustness.add_argument("--json", type=output, metavar="OUT")


def _evaluate(options: argparse.Namespace) -> None:
    from detectors import load

    from .evaluate import evaluate
    from .published import baseline
    from .tables import markdown

    models = {name: load(name) for name in options.models or bundled()}
    manifest, most = chosen_manifest(options), options.max_unreadable
    if options.conditions:
        if options.scores:
            raise HearsayError("--scores is not written with --conditions: leave one of them out.")
        _evaluate_conditions(manifest, models, options)
        return
    models |= dict(baseline())
    result = evaluate(manifest, options.split, models, options.seed, options.scores, most)
    if options.json:
        _write_json(options.json, result)
    print(markdown(result))


def _evaluate_conditions(
    manifest: Path, models: dict[str, Detector], options: argparse.Namespace
) -> None:
    from .conditions import markdown, measure_under, score_under
    from .evaluate import labelled_clips

    clips = labelled_clips(manifest, options.split)
    llr = score_under(clips, models, options.max_unreadable)
    rows = measure_under(clips, llr, models, options.seed)
    if options.json:
        _write_json(options.json, {"split": options.split, "conditions": rows})
    print(markdown(rows))


def _evaluate_recordings(options: argparse.Namespace) -> None:
    from corpora.manifest import read_manifest
    from detectors import load
    from detectors.assessment import ranked
    from detectors.folder import rewrite_calibration

    from .evaluate import folder_of
    from .recording_rates import markdown, measure
    from .recordings import fit, scored_recordings

    clips = read_manifest(chosen_manifest(options), options.split)
    sizes = (options.voices, options.rounds, options.seed, options.max_unreadable)
    rows = {}
    for name in options.models or [*ranked({name: load(name) for name in bundled()})][:1]:
        detector = load(name)
        recordings = scored_recordings(clips, detector, options.cache, *sizes)
        calibration = detector.config.calibration
        if options.fit:
            calibration = fit(recordings, calibration, options.seed)
            rewrite_calibration(folder_of(name), calibration)
        rows[name] = measure(recordings, calibration, options.seed)
        print(f"{name}, {len(recordings)} recordings of {options.split}\n\n{markdown(rows[name])}")
    if options.json:
        _write_json(options.json, {"split": options.split, "recordings": rows})


def _robustness(options: argparse.Namespace) -> None:
    import random

    from corpora.manifest import read_manifest
    from detectors import load

    from .robustness import (
        HARMLESS,
        LONG_SILENCES,
        SILENCES,
        changes,
        markdown,
        measure_changes,
    )

    models = {name: load(name) for name in options.models or bundled()}
    clips = read_manifest(chosen_manifest(options), options.split)
    clips = random.Random(0).sample(clips, min(options.clips or len(clips), len(clips)))
    rows = measure_changes(
        clips, changes(clips, models, HARMLESS | SILENCES, LONG_SILENCES), models
    )
    if options.json:
        _write_json(options.json, {"split": options.split, "changes": rows})
    print(markdown(rows))


def _write_json(path: Path, value: Any) -> None:
    with whole(path) as scratch:
        scratch.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
