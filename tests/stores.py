"""MLflow stores and detectors for tests: small, made in a moment, each test its own."""

from __future__ import annotations

import functools
import socket
import sqlite3
import tempfile
from pathlib import Path

import pytest
import torch

from detectors import Config, Detector
from detectors.mlflow_store import mlflow_client


def use_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point MLFLOW_TRACKING_URI at a fresh SQLite store in `folder`; returns its database file."""
    database = folder / "store" / "mlflow.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(_blank())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    return database


@functools.cache
def _blank() -> bytes:
    """An empty MLflow database; its tables take seconds to make, so they are made once."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        made, copy = Path(folder, "made.db"), Path(folder, "copy.db")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{made}")
        mlflow_client()
        connection = sqlite3.connect(made)
        connection.execute(f"VACUUM INTO '{copy}'")
        connection.close()
        return copy.read_bytes()


def make_detector(folder: Path, seed: int = 0, name: str = "cnn", **figures: float) -> Detector:
    """Save an untrained CNN in `folder`; eer, low and high become its dev figures."""
    torch.manual_seed(seed)
    dev = {}
    if figures:
        dev = {"eer": figures["eer"], "eer_ci": [figures["low"], figures["high"]]}
    detector = Detector(Config(name, "cnn", figures={"dev": dev} if dev else {}))
    detector.save(folder, f"# {name}\nAn untrained detector for tests.\n")
    return detector


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
