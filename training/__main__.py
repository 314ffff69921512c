"""python -m training train | calibrate | register | promote | ..., and what evaluation has"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detectors.commandline import (
    Commands,
    add_manifest,
    add_max_unreadable,
    chosen_manifest,
    run,
)
from detectors.errors import HearsayError
from evaluation.__main__ import add_commands as add_evaluation_commands


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and a sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_commands(commands)
    add_evaluation_commands(commands)
    return run(parser, arguments)


def add_commands(commands: Commands) -> None:
    """Add the parser of each command; its default `command` runs it."""
    train = commands.add_parser("train", help="train a detector from a recipe")
    train.set_defaults(command=_train)
    train.add_argument("recipe", type=Path)
    add_manifest(train)
    train.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    train.add_argument("--fold", metavar="K/N", type=_fold, help="hold out fold K (from 0) of N")
    train.add_argument("--data", default="", help="a sentence on the corpus, for the card")
    train.add_argument("--licence", default="", help="of the weights, for the card")
    add_max_unreadable(train)

    calibrate = commands.add_parser("calibrate", help="fit a detector's calibration on dev again")
    calibrate.set_defaults(command=_calibrate)
    calibrate.add_argument("folder", type=Path, help="of the detector, which is replaced")
    add_manifest(calibrate)
    calibrate.add_argument("--split", default="dev")
    add_max_unreadable(calibrate)

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
    add_manifest(fakes)
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


def _train(options: argparse.Namespace) -> None:
    from .recipe import read_recipe
    from .run import train

    recipe = read_recipe(options.recipe)
    name, fold = recipe.name, options.fold
    if fold:
        name += f"-fold{fold[0]}of{fold[1]}"
    out = options.out or Path("runs") / name
    texts = (options.data, options.licence)
    outcome = train(recipe, chosen_manifest(options), out, fold, *texts, options.max_unreadable)
    split, figures = list(outcome.detector.config.figures.items())[-1]
    print(f"{outcome.folder}: EER on {split} {figures['eer']:.1%}, run {outcome.run_id}")


def _calibrate(options: argparse.Namespace) -> None:
    from detectors import Detector
    from evaluation.calibrate import calibrate_on

    from .card import with_figures

    detector = Detector.open(options.folder)
    if detector.members:
        raise HearsayError("A fusion is fitted and calibrated in one: train it again.")
    fitted = calibrate_on(detector, chosen_manifest(options), options.split, options.max_unreadable)
    fitted.save(options.folder, with_figures(options.folder, fitted.config))
    print(f"{options.folder}: EER on {options.split} {fitted.config.eer(options.split):.1%}")


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
        chosen_manifest(options),
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
