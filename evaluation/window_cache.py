"""Scores of recordings that are scored again and again, kept on disk by recording and detector."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from detectors import Detector
from detectors.audio import Waveform
from detectors.detector import Score
from detectors.files import write
from detectors.scoring import ScoringSession


def cached_score(wave: Waveform, detector: Detector, folder: Path) -> Score:
    """What `detector.score` returns; the logits of windows are kept in `folder`.

    They are found again by the samples and by the digests of the detector and of its members, so
    that a fusion whose weights or calibration changed runs none of its members again.
    """
    path = folder / f"{hashlib.sha256(wave.samples.tobytes()).hexdigest()[:32]}.json"
    session = ScoringSession(wave)
    known = json.loads(path.read_text()) if path.exists() else {}
    for digest, logits in known.items():
        session.logits[digest].update({int(start): logit for start, logit in logits.items()})
    score = session.score(detector)
    kept = {digest: dict(logits) for digest, logits in session.logits.items()}
    if kept != {digest: {int(k): v for k, v in logits.items()} for digest, logits in known.items()}:
        folder.mkdir(parents=True, exist_ok=True)
        write(path, json.dumps(kept))
    return score
