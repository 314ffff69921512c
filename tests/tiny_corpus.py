"""Tiny corpora for tests: voices, and fakes of them that anything can learn to tell."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from voice import voice

COLUMNS = ["path", "label", "split", "system", "family", "speaker", "source"]
KINDS = ("buzz", "hum", "whistle")


def fake(x: np.ndarray) -> np.ndarray:
    """A buzz under the voice: the artefact of a very bad vocoder."""
    t = np.arange(len(x)) / 16_000
    return (x + 0.05 * np.sign(np.sin(2 * np.pi * 1000 * t))).astype(np.float32)


def tiny_corpus(folder: Path, speakers: int = 4, seconds: float = 1.5) -> Path:
    """Write `speakers` voices a split, each once real and once faked; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split in ("train", "dev", "test"):
        for n in range(speakers):
            name = f"{split}{n}"
            real = voice(seconds, seed=len(rows))
            for label, x in (("bonafide", real), ("spoof", fake(real))):
                path = f"{name}-{label}.flac"
                soundfile.write(folder / path, x, 16_000)
                system = "bonafide" if label == "bonafide" else f"{KINDS[n % 3]}-{split}"
                family = "bonafide" if label == "bonafide" else "tts"
                rows.append([path, label, split, system, family, name, f"studio-{name}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder / "manifest.csv"
