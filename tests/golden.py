"""What the program says about its examples, before and after a change that must not alter it.

    python tests/golden.py write [--quick]   # before the change: some minutes, or one
    python tests/golden.py check [--quick]   # after it: differences beyond 1e-6, and exit code 1

The answers are kept in runs/golden; they depend a little on the processor and on its threads.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "runs/golden"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
QUICK = ("cnn", "prosody", "resnet")  # detectors that take seconds
SLOW = {"shap-permutation", "shap-partition", "owen-patches", "lime-patches"}
LARGE = ("aasist", "fusion", "whisper")  # without the slow methods


def scores(names: list[str]) -> dict[str, Any]:
    """LLR, windows and notes of every detector on every example and on a clip of 1.2 s."""
    from detectors import load, read
    from detectors.audio import bare

    waves = {path.stem: read(path) for path in sorted(examples().glob("*.flac"))}
    waves["short"] = bare(waves["english-real"].samples[16_000:35_200])
    return {
        name: {
            clip: [[s.llr, *[w.llr for w in s.windows]], list(s.notes)]
            for clip, wave in waves.items()
            for s in [load(name).score(wave)]
        }
        for name in names
    }


def explanations(names: list[str], quick: bool) -> dict[str, Any]:
    """Every valid method of every detector on four seconds of an example."""
    from detectors import load, read
    from detectors.audio import bare
    from explain import explain, methods

    wave = bare(read(examples() / "english-neural-copy.flac").samples[8_000:72_600])
    said: dict[str, Any] = {}
    for name in names:
        detector = load(name)
        for method in methods(detector):
            if (quick or name in LARGE) and method in SLOW:
                continue
            e = explain(detector, wave, method)
            said[f"{name} {method}"] = {
                "shape": list(e.values.shape),
                "values": sampled(e.values),
                "times": None if e.times is None else sampled(e.times),
                "freqs": None if e.freqs is None else sampled(e.freqs),
                "full": e.full,
                "empty": e.empty,
                "forwards": e.forwards,
                "names": list(e.names),
            }
    return said


def evaluations() -> dict[str, Any]:
    """Error rates on a tiny corpus, and the registry's way to the page and back."""
    import os

    from tiny_corpus import tiny_corpus

    from detectors import BUNDLED, load, read, registry

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        manifest = tiny_corpus(Path(folder))
        measured = evaluate(manifest, "test", ["cnn", "prosody"])
        measured.pop("corpus_hash")
        measured.pop("unreadable")
        for row in measured["models"].values():
            row.pop("version")
        wave = read(examples() / "french-real.flac")
        numbers = {}
        for name in ("cnn", "fusion"):
            number = registry.register(BUNDLED / name, name)
            registry.promote(name, number)
            numbers[name] = load(f"models:/{name}@champion").score(wave).llr
    return {"evaluate": measured, "registry": numbers}


def evaluate(*arguments: Any) -> dict[str, Any]:
    from detectors import load
    from evaluation.evaluate import evaluate

    manifest, split, names = arguments
    return evaluate(manifest, split, {name: load(name) for name in names})


def examples() -> Path:
    return ROOT / "page" / "examples"


def sampled(values: np.ndarray) -> list[float]:
    """Sum, sum of sizes and up to 32 evenly spaced values."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    places = np.linspace(0, len(flat) - 1, min(32, len(flat))).round().astype(int)
    return [float(flat.sum()), float(np.abs(flat).sum()), *flat[places].tolist()]


def plain(value: Any) -> Any:
    """JSON values, NaN as null."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def differences(was: Any, now: Any, where: str = "") -> list[str]:
    """Places where two JSON values differ, numbers by more than 1e-6 of their size."""
    if isinstance(was, dict) and isinstance(now, dict):
        found = [f"{where}/{k}: only on one side" for k in was.keys() ^ now.keys()]
        for key in was.keys() & now.keys():
            found += differences(was[key], now[key], f"{where}/{key}")
        return found
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        pairs = enumerate(zip(was, now, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}/{i}")]
    if isinstance(was, int | float) and isinstance(now, int | float):
        return [] if abs(was - now) <= 1e-6 * max(1, abs(was)) else [f"{where}: {was} -> {now}"]
    return [] if was == now else [f"{where}: {was} -> {now}"]


def main() -> int:
    from detectors import bundled

    write, quick = sys.argv[1] == "write", "--quick" in sys.argv
    names = [name for name in bundled() if not quick or name in QUICK]
    parts = {
        "scores": lambda: scores(names),
        "explanations": lambda: explanations(names, quick),
        "evaluations": evaluations,
    }
    wrong: list[str] = []
    for part, make in parts.items():
        file, now = KEPT / f"{part}{'-quick' if quick else ''}.json", plain(make())
        if write:
            KEPT.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(now, indent=0) + "\n")
            continue
        was = json.loads(file.read_text())
        wrong += differences(was, now, part)
    print("\n".join(wrong[:60]) or "no differences")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
