"""Is this voice synthetic? A calibrated answer, and the seconds and bands that decided it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

__version__ = "0.1.0"

DEMO = "the page, for a browser on this computer"
COMMANDS = {  # command -> the package that has it, its name there, and what it does
    "score": ("detectors", "score", "is the voice in these files synthetic?"),
    "explain": ("explain", "clip", "which seconds, bands or features of a recording decided"),
    "list": ("training", "list", "registered detectors, their versions and aliases"),
    "models": ("detectors", "list", "bundled detectors and known architectures"),
    "import": ("detectors", "import", "turn a published checkpoint into a detector"),
    "train": ("training", "train", "train a detector from a recipe"),
    "calibrate": ("training", "calibrate", "fit a detector's calibration on dev again"),
    "evaluate": ("evaluation", "evaluate", "error rates on a labelled manifest"),
    "evaluate-recordings": (
        "evaluation",
        "evaluate-recordings",
        "long recordings: partly fake ones, and more speech",
    ),
    "robustness": (
        "evaluation",
        "robustness",
        "do silence and other harmless changes move answers?",
    ),
    "register": ("training", "register", "add a trained detector to the registry"),
    "promote": ("training", "promote", "give a version an alias; the page serves each champion"),
    "card": ("training", "card", "write an evaluation's figures into a detector folder"),
    "fakes": ("training", "fakes", "copy synthesis of a manifest's bona fide clips"),
    "audit": ("explain", "audit", "which harmless changes turn how many verdicts"),
    "cue-map": ("explain", "corpus", "where detectors look, by what made the clip"),
    "evaluate-explanations": ("explain", "evaluate", "do methods find what was planted in a clip?"),
    "tables": ("explain", "tables", "write a document's tables from what was measured"),
    "bench": ("detectors", "bench", "speed of detectors, beside plain PyTorch"),
    "bench-explanations": ("explain", "bench", "time and memory of explanations"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and a sentence on stderr for input that cannot be used, 130 after Ctrl-C.

    Only the package that has the command is imported, since PyTorch takes seconds.
    """
    options, rest = _parser().parse_known_args(arguments)
    try:
        return _demo(rest) if options.command == "demo" else _run(options.command, rest)
    except KeyboardInterrupt:  # before the command began, or while the page was served
        print("Stopped.", file=sys.stderr)
        return 130


def _run(command: str, arguments: list[str]) -> int:
    package, name, _ = COMMANDS[command]
    commands = argparse.ArgumentParser().add_subparsers()
    importlib.import_module(f"{package}.__main__").add_commands(commands)
    parser = commands.choices[name]
    parser.prog = f"hearsay {command}"

    from detectors.commandline import run

    return run(parser, arguments)


def _demo(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hearsay demo", description=DEMO)
    parser.add_argument("--port", help="default: PORT of the environment, or else 7860")
    options = parser.parse_args(arguments)
    if options.port:
        os.environ["PORT"] = options.port

    import app

    app.main()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hearsay", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help=DEMO, add_help=False)
    for name, (*_, what) in COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
