"""Where MLflow keeps runs and versions, and how this program talks to it.

The default store is `mlruns/mlflow.db` with artifacts under `mlruns/artifacts`; MLFLOW_TRACKING_URI
points anywhere else. MLflow takes seconds to import, so it is imported late, and only after its
telemetry is off. Nothing here touches MLflow's process-wide state (active run, default URI).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from .errors import HearsayError, reason, without_secrets
from .runtime import quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or else the SQLite store in `mlruns` of this checkout.

    Installed elsewhere, or in a checkout that cannot be written to, it is the current folder's.

    Raises:
        HearsayError: MLFLOW_TRACKING_URI does not begin with a scheme; MLflow would take it for a
            folder, and make one.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / "pyproject.toml").is_file() or not os.access(root, os.W_OK):
        root = Path.cwd()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlruns' / 'mlflow.db'}"
    if not re.match(r"[\w+.-]+:/|databricks", uri):
        raise HearsayError(
            f"MLFLOW_TRACKING_URI is '{uri}', which begins with no scheme; write "
            "sqlite:///mlflow.db for a file, or http://localhost:5000 for a server."
        )
    return uri


def mlflow_client() -> MlflowClient:
    """MLflow's client of `tracking_uri()`; a SQLite store that is not there yet is made first."""
    quiet_mlflow()
    from mlflow import MlflowClient

    database = sqlite_file()
    # processes that create MLflow's tables at the same time fail with "database is locked"
    with readable_errors(), interprocess_lock("create"):
        if database is not None:
            new = not database.exists()
            connection = sqlite3.connect(database)
            # the page reads while training writes; and what is no database fails at once, where
            # MLflow would try for minutes
            connection.execute("PRAGMA journal_mode=WAL" if new else "PRAGMA schema_version")
            connection.close()
        return MlflowClient(tracking_uri=tracking_uri())


def experiment(name: str) -> str:
    """Id of the experiment `name`, made if absent, its artifacts beside our database."""
    client, database = mlflow_client(), sqlite_file()
    from mlflow.exceptions import MlflowException

    location = None if database is None else (database.parent / "artifacts").as_uri()
    with readable_errors():
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException:
                found = client.get_experiment_by_name(name)
                if found is None:  # or else another process was faster
                    raise
        return str(found.experiment_id)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what MLflow, its database and its files may raise into one HearsayError."""
    try:
        yield
    except HearsayError:
        raise
    except Exception as error:  # every kind of store has a driver with errors of its own
        uri, why = tracking_uri(), reason(error)
        if uri.startswith("http") and isinstance(error.__context__, OSError):
            why = "the server does not answer"  # instead of urllib3's paragraph
        if isinstance(error, ImportError):
            why = f"it needs the package {error.name}, which is not installed"
        raise HearsayError(without_secrets(f"The MLflow store at {uri} failed: {why}.")) from error


@contextmanager
def interprocess_lock(purpose: str) -> Iterator[None]:
    """One process or thread at a time, per SQLite store; servers see to it themselves."""
    database = sqlite_file()
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f".{purpose}.lock"), timeout=300):
        yield


def sqlite_file() -> Path | None:
    """The file behind a sqlite:/// tracking URI; None for every other store."""
    uri = tracking_uri()
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(path).resolve() if uri.startswith("sqlite:///") and path else None
