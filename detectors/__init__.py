"""Waveform in, log-likelihood ratio for "synthetic" out.

from detectors import load, read
print(load("cnn").score(read("clip.m4a")).p_fake())
"""

from pathlib import Path

from .audio import AudioError, Facts, Waveform, read
from .config import Config
from .detector import Detector, Score, Window
from .errors import HearsayError
from .folder import BUNDLED

__all__ = [
    "BUNDLED",
    "AudioError",
    "Config",
    "Detector",
    "Facts",
    "HearsayError",
    "Score",
    "Waveform",
    "Window",
    "bundled",
    "bundled_config",
    "load",
    "read",
]


def bundled() -> list[str]:
    """Names of the detectors that come with the program."""
    return sorted(p.parent.name for p in BUNDLED.glob("*/config.json"))


def bundled_config(name: str) -> Config:
    """Config of a bundled detector, whose weights stay where they are."""
    return Config.read(BUNDLED / name / "config.json")


def load(name: str | Path) -> Detector:
    """Detector by name: bundled ("cnn"), registered ("models:/cnn@champion") or a folder.

    Raises HearsayError with the names that would work.
    """
    if str(name).startswith("models:/"):
        from . import registry  # MLflow takes seconds to import; only registered models pay

        return registry.load(str(name))
    folder = BUNDLED / str(name) if str(name) in bundled() else Path(name)
    if not folder.is_dir():
        raise HearsayError(
            f"There is no detector '{name}'. Bundled ones are {', '.join(bundled())}; a registered "
            "one is written models:/NAME@champion, and a folder by its path."
        )
    detector = Detector.open(folder)
    if folder.parent != BUNDLED:
        detector.check_runs()
    return detector
