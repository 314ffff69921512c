"""The published AASIST checkpoint as a baseline row, where its file lies beside the project."""

from pathlib import Path

from detectors.detector import Detector
from detectors.importers.checkpoints import import_checkpoint

CHECKPOINT = Path(__file__).parents[2] / "shared" / "checkpoints" / "aasist.pth"


def baseline() -> list[tuple[str, Detector]]:
    """[("published-aasist", Detector)] on raw levels, uncalibrated; empty where it is absent."""
    if not CHECKPOINT.is_file():
        return []
    return [("published-aasist", import_checkpoint(CHECKPOINT, "aasist", "published-aasist"))]
