"""python -m explain clip: which seconds and bands of a recording decided, and which way."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from detectors import AudioError, DetectorError, bundled, load, read
from detectors.detector import Detector
from detectors.runtime import run, whole

from . import METHODS, ExplainError, Explanation, decisive_seconds, explain


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and one sentence on stderr for input that cannot be used."""
    return run(_parser(), (AudioError, DetectorError, ExplainError), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m explain", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    clip = commands.add_parser("clip", help="explain what a detector says about one recording")
    clip.set_defaults(command=_clip)
    clip.add_argument("file", metavar="FILE")
    clip.add_argument("--detector", metavar="NAME", help="default: the bundled one best on dev")
    clip.add_argument("--method", default="shapley-time", help=f"one of {', '.join(METHODS)}")
    clip.add_argument("--players", type=int, help="windows of shapley-time, 2 to 12; default: 8")
    clip.add_argument("--json", metavar="OUT", help="write the whole explanation; - for stdout")
    clip.add_argument("--png", metavar="OUT", type=Path, help="draw it")
    return parser


def _clip(options: argparse.Namespace) -> int:
    wave = read(options.file)
    detector = load(options.detector) if options.detector else _best()
    chosen: dict[str, Any] = {} if options.players is None else {"players": options.players}
    explanation = explain(detector, wave, options.method, **chosen)
    if options.png:
        from .draw import png  # matplotlib takes a second to import; only pictures pay

        _write(options.png, png(explanation, wave))
    if options.json == "-":
        print(explanation.to_json())
        return 0
    if options.json:
        _write(Path(options.json), f"{explanation.to_json()}\n".encode())
    print(summary(explanation))
    return 0


def summary(explanation: Explanation) -> str:
    """The strongest stretches with their direction, then what the explanation cost."""
    lines = [f"{explanation.method} on {explanation.detector}, logit {explanation.full:+.3f}"]
    lines += explanation.notes
    for start, end, value in decisive_seconds(explanation):
        side = "fake" if value > 0 else "real"
        lines.append(f"  {start:6.2f} to {end:6.2f} s  {value:+8.3f}  towards {side}")
    residual = explanation.residual
    said = "no completeness promised" if math.isnan(residual) else f"residual {residual:.1e}"
    lines.append(
        f"{said}, {explanation.forwards} forwards, {explanation.seconds:.1f} s, "
        f"peak {explanation.peak_mb:.0f} MB"
    )
    return "\n".join(lines)


def _best() -> Detector:
    names = bundled()
    if not names:
        raise DetectorError("No detector is bundled here; name one with --detector.")
    return min((load(name) for name in names), key=lambda d: d.config.rank)


def _write(path: Path, content: bytes) -> None:
    try:
        with whole(path) as scratch:
            scratch.write_bytes(content)
    except OSError as error:
        raise ExplainError(f"{path} cannot be written: {error.strerror}.") from error


if __name__ == "__main__":
    sys.exit(main())
