"""python -m detectors score | bench | list | import"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
from pathlib import Path

from . import HearsayError, bundled, bundled_config, registry
from .assessment import Assessment, assess
from .audio.worker import SERVER
from .catalog import CATALOG
from .commandline import Commands, add_detectors, add_max_unreadable, chosen_detectors, run
from .errors import without_secrets
from .importers.checkpoints import FAMILIES, import_checkpoint
from .stretches import in_words

DOWNLOADS = Path("runs/downloads")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and a sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m detectors", description=__doc__)
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return run(parser, arguments)


def add_commands(commands: Commands) -> None:
    """Add the parser of each command; its default `command` runs it."""
    # argparse would name the options first, and --models takes what follows it for a model
    usage = (
        "%(prog)s FILE [FILE ...] [--models MODEL [MODEL ...]] [--bundled] [--prior SHARE] [--json]"
    )
    score = commands.add_parser("score", usage=usage, help="is the voice in these files synthetic?")
    score.set_defaults(command=_score)
    score.add_argument("files", nargs="+", metavar="FILE")
    add_detectors(score, "--models", nargs="+", default=[], help="default: those of the page")
    score.add_argument("--prior", type=_prior, default=0.5, help="share of fakes among such files")
    score.add_argument("--json", action="store_true", help="one JSON object a line")

    bench = commands.add_parser("bench", help="speed, beside plain PyTorch in the same run")
    bench.set_defaults(command=_bench)
    bench.add_argument("--models", nargs="+", help="default: the bundled ones")
    bench.add_argument("--json", action="store_true")

    listing = commands.add_parser("list", help="bundled detectors and known architectures")
    listing.set_defaults(command=_list)

    importing = commands.add_parser("import", help="turn a published checkpoint into a detector")
    importing.set_defaults(command=_import)
    origin = importing.add_mutually_exclusive_group(required=True)
    origin.add_argument("checkpoint", nargs="?", type=Path, metavar="FILE", help="or a hub model")
    origin.add_argument("--url", help="fetch it over https; needs --sha256")
    importing.add_argument("--sha256", type=_sha256, metavar="HEX", help="what --url must bring")
    families = [*FAMILIES, "hub"]
    importing.add_argument("--as", dest="architecture", choices=families, required=True)
    importing.add_argument("--name", required=True)
    importing.add_argument("--fake-label", nargs="+", default=[], help="of a hub model's labels")
    importing.add_argument("--real-label", nargs="+", default=[], help="default: all the others")
    importing.add_argument("--manifest", type=Path, metavar="CSV", help="calibrate on its clips")
    importing.add_argument("--split", help="of the manifest (default: dev)")
    add_max_unreadable(importing)
    importing.add_argument("--out", type=Path, help="write the folder, do not register")


def _score(options: argparse.Namespace) -> int:
    SERVER.start()  # meanwhile
    detectors = chosen_detectors(options.detectors, options.bundled)
    code = 2
    for file in options.files:
        found = assess(file, detectors, options.prior)
        print(json.dumps(found.to_dict()) if options.json else _sentence(found), flush=True)
        code = code if found.error else 0
    return code


def _sentence(found: Assessment) -> str:
    if found.error:
        return f"{found.file}: {found.error}"
    each = ", ".join(f"{model.name} {model.p_fake:.0%}" for model in found.models)
    notes = "".join(f"\n  {note}" for note in (*found.cautions, *found.notices))
    parts = f": {in_words(found.stretches)}; of the whole" if found.stretches else ","
    return (
        f"{found.file}: {found.verdict}{parts} P(fake) {found.p_fake:.0%}, "
        f"LLR {found.llr:+.2f} ({each}){notes}"
    )


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench, markdown

    result = bench(options.models or bundled())
    print(json.dumps(result, indent=1) if options.json else markdown(result))
    return 0


def _list(options: argparse.Namespace) -> int:
    for name in bundled():
        config = bundled_config(name)
        rates = [f"{split} EER {figures['eer']:.1%}" for split, figures in config.figures.items()]
        print(f"{name:12} {config.architecture:10} {'  '.join(rates)}")
    print(f"architectures: {', '.join(CATALOG)}")
    return 0


def _import(options: argparse.Namespace) -> int:
    if (options.url is None) != (options.sha256 is None):
        raise HearsayError("--url and --sha256 go together: the checkpoint and what it must be.")
    if options.url and options.architecture == "hub":
        raise HearsayError("--as hub takes a folder or the name of a hub model, not --url.")
    if options.split and not options.manifest:
        raise HearsayError("--split is of the clips of --manifest, which is missing.")
    registry.check_name(options.name)
    checkpoint, calibration = options.checkpoint, "not calibrated"
    if options.url:
        from .importers.download import download  # httpx takes a while to import

        checkpoint = download(options.url, options.sha256, DOWNLOADS)
    if options.architecture == "hub":
        from .importers.huggingface import import_hub

        labels = options.fake_label, options.real_label
        detector = import_hub(str(checkpoint), options.name, *labels)
    elif options.fake_label or options.real_label:
        raise HearsayError("--fake-label and --real-label are of --as hub alone.")
    else:
        detector = import_checkpoint(checkpoint, options.architecture, options.name)
    detector.check_runs()
    if options.manifest:
        from evaluation.calibrate import calibrate_on  # needs the training package

        split = options.split or "dev"
        detector = calibrate_on(detector, options.manifest, split, options.max_unreadable)
        calibration = f"calibrated on {split} of {options.manifest.name}"
    origin = without_secrets(options.url) if options.url else checkpoint
    card = f"# {options.name}\n\nImported from {origin}; {calibration}.\n"
    if options.out:
        detector.save(options.out, card)
        print(options.out)
        return 0
    with tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
        folder = Path(scratch, "detector")
        detector.save(folder, card)
        print(f"{options.name} version {registry.register(folder, options.name)}")
    return 0


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("a SHA-256 has 64 hexadecimal digits")
    return text.lower()


def _prior(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("the prior is a number between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
