"""python -m training train | calibrate | evaluate | robustness | register | ..."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors import bundled
from detectors.commandline import Commands, add_max_unreadable, count, natural, output, run
from detectors.errors import HearsayError
from detectors.files import whole

if TYPE_CHECKING:
    from detectors import Detector


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and a sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return run(parser, arguments)


def add_commands(commands: Commands) -> None:
    """Add the parser of each command; its default `command` runs it."""

    train = commands.add_parser("train", help="train a detector from a recipe")
    train.set_defaults(command=_train)
    train.add_argument("recipe", type=Path)
    _add_manifest(train)
    train.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    train.add_argument("--fold", metavar="K/N", type=_fold, help="hold out fold K (from 0) of N")
    train.add_argument("--data", default="", help="a sentence on the corpus, for the card")
    train.add_argument("--licence", default="", help="of the weights, for the card")
    add_max_unreadable(train)

    calibrate = commands.add_parser("calibrate", help="fit a detector's calibration on dev again")
    calibrate.set_defaults(command=_calibrate)
    calibrate.add_argument("folder", type=Path, help="of the detector, which is replaced")
    _add_manifest(calibrate)
    calibrate.add_argument("--split", default="dev")
    add_max_unreadable(calibrate)

    evaluate = commands.add_parser("evaluate", help="error rates on a labelled manifest")
    evaluate.set_defaults(command=_evaluate)
    _add_manifest(evaluate)
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
    _add_manifest(recordings)
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
    _add_manifest(robustness)
    robustness.add_argument("--split", default="dev")
    robustness.add_argument("--models", nargs="*", default=[], help="default: the bundled ones")
    robustness.add_argument("--clips", type=natural, help="so many, drawn by chance (default: all)")
    robustness.add_argument("--json", type=output, metavar="OUT")

    register = commands.add_parser("register", help="add a trained detector to the registry")
    register.set_defaults(command=_register)
    register.add_argument("run", help="run folder, detector folder or MLflow run id")
    register.add_argument("--name", required=True)

    promote = commands.add_parser("promote", help="give a version an alias")
    promote.set_defaults(command=_promote)
    promote.add_argument("name")
    promote.add_argument("version", type=int)
    promote.add_argument("--alias", default="champion")
    promote.add_argument("--force", action="store_true", help="even if it is worse on dev")

    listing = commands.add_parser("list", help="registered versions")
    listing.set_defaults(command=_list)

    fakes = commands.add_parser("fakes", help="copy synthesis of a manifest's bona fide clips")
    fakes.set_defaults(command=_fakes)
    _add_manifest(fakes)
    fakes.add_argument("--split", default="train")
    fakes.add_argument("--fakers", nargs="+", default=["griffin-lim"])
    fakes.add_argument("--out", type=Path, required=True)
    add_max_unreadable(fakes)

    card = commands.add_parser("card", help="write measured figures into a detector folder")
    card.set_defaults(command=_card)
    card.add_argument("folder", type=Path)
    figures = card.add_mutually_exclusive_group(required=True)
    figures.add_argument("--evaluation", type=Path, help="evaluate's --json")
    figures.add_argument("--robustness", type=Path, help="robustness's --json")
    card.add_argument("--model", help="its name there (default: the one with the folder's weights)")


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifest", type=Path, help="the corpus, a CSV (default: HEARSAY_MANIFEST)"
    )


def _manifest(options: argparse.Namespace) -> Path:
    """The manifest that a command works on: its own, or the environment's."""
    path = options.manifest or os.environ.get("HEARSAY_MANIFEST")
    if not path:
        raise HearsayError(
            "No corpus is named: add --manifest corpus.csv, or set the environment variable "
            "HEARSAY_MANIFEST."
        )
    return Path(path)


def _train(options: argparse.Namespace) -> None:
    from .recipe import read_recipe
    from .run import train

    recipe = read_recipe(options.recipe)
    name, fold = recipe.name, options.fold
    if fold:
        name += f"-fold{fold[0]}of{fold[1]}"
    out = options.out or Path("runs") / name
    texts = (options.data, options.licence)
    outcome = train(recipe, _manifest(options), out, fold, *texts, options.max_unreadable)
    split, figures = list(outcome.detector.config.figures.items())[-1]
    print(f"{outcome.folder}: EER on {split} {figures['eer']:.1%}, run {outcome.run_id}")


def _calibrate(options: argparse.Namespace) -> None:
    from detectors import Detector
    from evaluation.calibrate import calibrate_on

    from .card import with_figures

    detector = Detector.open(options.folder)
    if detector.members:
        raise HearsayError("A fusion is fitted and calibrated in one: train it again.")
    fitted = calibrate_on(detector, _manifest(options), options.split, options.max_unreadable)
    fitted.save(options.folder, with_figures(options.folder, fitted.config))
    print(f"{options.folder}: EER on {options.split} {fitted.config.eer(options.split):.1%}")


def _evaluate(options: argparse.Namespace) -> None:
    from detectors import load
    from evaluation.evaluate import evaluate
    from evaluation.published import baseline
    from evaluation.tables import markdown

    models = {name: load(name) for name in options.models or bundled()}
    manifest, most = _manifest(options), options.max_unreadable
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
    from evaluation.conditions import markdown, measure_under, score_under
    from evaluation.evaluate import labelled_clips

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
    from evaluation.evaluate import folder_of
    from evaluation.recording_rates import markdown, measure
    from evaluation.recordings import fit, scored_recordings

    clips = read_manifest(_manifest(options), options.split)
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
    from evaluation.robustness import (
        HARMLESS,
        LONG_SILENCES,
        SILENCES,
        changes,
        markdown,
        measure_changes,
    )

    models = {name: load(name) for name in options.models or bundled()}
    clips = read_manifest(_manifest(options), options.split)
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


def _register(options: argparse.Namespace) -> None:
    from detectors import registry
    from evaluation.tracking import run_detector

    with run_detector(options.run) as (folder, run_id):
        version = registry.register(folder, options.name, run_id=run_id)
    print(f"{options.name} version {version}")


def _promote(options: argparse.Namespace) -> None:
    from detectors import registry

    registry.promote(options.name, options.version, options.alias, force=options.force)
    print(f"{options.name} version {options.version} is {options.alias}")


def _list(options: argparse.Namespace) -> None:
    from detectors import registry

    for version in registry.versions():
        figures = "  ".join(f"{k} {v}" for k, v in version.tags.items() if k.endswith(".eer"))
        print(f"{version.name:12} {version.version:>3}  {', '.join(version.aliases):12} {figures}")


def _fakes(options: argparse.Namespace) -> None:
    from corpora.copy_synthesis import make_copies

    made = make_copies(
        _manifest(options),
        options.split,
        options.fakers,
        options.out,
        max_unreadable=options.max_unreadable,
    )
    print(made)


def _card(options: argparse.Namespace) -> None:
    from .card import record, record_changes

    path = options.evaluation or options.robustness
    try:
        figures = json.loads(path.read_text())
    except FileNotFoundError:
        raise HearsayError(f"There is no {path}.") from None
    except (OSError, ValueError) as error:
        raise HearsayError(f"{path} cannot be read: {error}.") from error
    try:
        if options.evaluation:
            record(options.folder, figures, options.model)
        else:
            record_changes(options.folder, figures)
    except (AttributeError, KeyError, TypeError) as error:
        kind = "evaluate" if options.evaluation else "robustness"
        raise HearsayError(f"{path} is not what {kind} --json writes: {error}.") from error


def _fold(text: str) -> tuple[int, int]:
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit() and int(k) < int(n)):
        raise argparse.ArgumentTypeError("write a fold as K/N, counted from 0: 0/5")
    return int(k), int(n)


if __name__ == "__main__":
    sys.exit(main())
