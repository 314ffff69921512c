"""What the command lines share: one frame, and arguments that are checked at once."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import HearsayError
from .processes import exit_on_signal
from .runtime import prepare

if TYPE_CHECKING:
    from .detector import Detector

EXTRAS = {"pyworld": "train", "shap": "explain"}  # what commands import -> where it comes from
INTERRUPTED = 130  # exit code of shells after Ctrl-C: 128 + SIGINT
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def run(parser: argparse.ArgumentParser, arguments: list[str] | None = None) -> int:
    """Parse, prepare and call the command that `parser` chose (its default `command`).

    Returns:
        The command's exit code, 0 if it gives none; 2, with a sentence on stderr, for input that
        cannot be used, and for a command whose extra is not installed; 130 after Ctrl-C.
    """
    parser.add_argument("--threads", type=count, help="default: every core", metavar="N")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be of no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    prepare(options.threads)
    try:
        with exit_on_signal():
            return options.command(options) or 0
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except HearsayError as error:
        print(error, file=sys.stderr)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = f"hearsay[{EXTRAS[error.name]}]"
        print(f"This needs the package {error.name}: pip install '{extra}'.", file=sys.stderr)
    return 2


def natural(text: str, least: int = 0) -> int:
    """A whole number from `least` on the command line; argparse says so where it is none."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"write a whole number from {least}")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on the command line."""
    return natural(text, 1)


def share(text: str) -> float:
    """A number from 0 to 1 on the command line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("write a share from 0 to 1")
    return value


def add_max_unreadable(parser: argparse.ArgumentParser) -> None:
    """Add the option of all commands that read the clips of a manifest."""
    parser.add_argument(
        "--max-unreadable",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="of the clips that may be left out since they cannot be read (default: 0.05)",
    )


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the corpus; see `chosen_manifest`."""
    parser.add_argument(
        "--manifest", type=Path, help="the corpus, a CSV (default: HEARSAY_MANIFEST)"
    )


def chosen_manifest(options: argparse.Namespace) -> Path:
    """The manifest that a command works on: its own, or the environment's."""
    path = options.manifest or os.environ.get("HEARSAY_MANIFEST")
    if not path:
        raise HearsayError(
            "No corpus is named: add --manifest corpus.csv, or set the environment variable "
            "HEARSAY_MANIFEST."
        )
    return Path(path)


def add_detectors(parser: argparse.ArgumentParser, *flags: str, **how: Any) -> None:
    """Add the option that names detectors (see `chosen_detectors`), and --bundled."""
    parser.add_argument(*flags, dest="detectors", **how)
    parser.add_argument(
        "--bundled",
        action="store_true",
        help="what comes with the program, whatever the registry has promoted in its place",
    )


def chosen_detectors(names: Sequence[str], only_bundled: bool) -> dict[str, Detector]:
    """Detectors by name, as the page has them: the registry's champions, else what is bundled.

    Args:
        names: Of detectors in service, or what `load` takes; all that are in service if empty.
        only_bundled: Leave the registry alone.
    """
    from . import BUNDLED, bundled, load

    if only_bundled or (names and all("/" in name for name in names)):
        return {name: load(name) for name in names or bundled()}
    from .pool import served

    pool = served(BUNDLED / name for name in bundled())
    for notice in pool.notices:
        print(notice, file=sys.stderr)
    there = {version.name: detector for version, detector in pool.detectors()}
    return {name: there[name] if name in there else load(name) for name in names or there}


def output(text: str) -> Path:
    """An argument that names a file to write: refused at once where its folder is missing."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent} to write into")
    return path
