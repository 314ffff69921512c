"""One training run in MLflow: parameters, environment, curves, figures and the detector folder.

Everything goes through MlflowClient with an explicit run id, so that nothing process-wide (an
active run, system metrics) is switched on. Training goes on when the store is out of reach: a
warning says what could not be sent, and metrics are sent again with the next ones.
"""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from detectors.errors import HearsayError
from detectors.mlflow_store import experiment, mlflow_client, readable_errors
from detectors.processes import is_running

from . import plots

if TYPE_CHECKING:
    from mlflow.entities import Metric

ROOT = Path(__file__).resolve().parents[1]
PROCESS = "process"  # tag of a run: HOST:PID of whoever writes to it
METRICS_A_BATCH = 1000  # MLflow's limits
PARAMS_A_BATCH = 100
LONGEST_PARAM = 6000


class Run:
    """A run that is being written to; leaving the context ends it as FINISHED, FAILED or KILLED.

    run_id: an id to go on with (its parameters stay), or None for a new run. An id that the store
    does not know, as after a change of store, makes a new run with the tag `resumed_from`.
    Raises HearsayError when the store cannot be reached at the start.
    """

    def __init__(
        self, experiment_name: str, name: str, params: Mapping[str, Any], run_id: str | None = None
    ) -> None:
        self._client = mlflow_client()
        self._pending: list[Metric] = []
        self.run_id = ""
        try:
            self._begin(experiment_name, name, params, run_id)
        except BaseException as error:
            if self.run_id:
                self.__exit__(type(error), error, None)
            raise

    def _begin(
        self, experiment_name: str, name: str, params: Mapping[str, Any], run_id: str | None
    ) -> None:
        """Create the run, or go on with it, and log its parameters and environment."""
        if run_id is not None and known(run_id):
            self.run_id = run_id
            with readable_errors():
                self._client.update_run(run_id, status="RUNNING")
        else:
            home = experiment(experiment_name)
            self._end_abandoned(home)
            tags = {"resumed_from": run_id} if run_id else {}
            with readable_errors():
                made = self._client.create_run(home, run_name=name, tags=tags)
                self.run_id = made.info.run_id
                self._log_params(flatten(params))
        with readable_errors():
            for key, value in {**environment(), **git_state(), PROCESS: _this_process()}.items():
                self._client.set_tag(self.run_id, key, value)

    def metrics(self, step: int, **values: float) -> None:
        """Log values at a step (an epoch), one point on each curve."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(key, float(value), now, step) for key, value in values.items()]
        with self._sent("Metrics wait and are sent with the next ones."):
            while self._pending:
                self._client.log_batch(self.run_id, metrics=self._pending[:METRICS_A_BATCH])
                del self._pending[:METRICS_A_BATCH]

    def scores(self, llr: ArrayLike, labels: ArrayLike, threshold: float) -> None:
        """Log DET, ROC, confusion matrix and histogram of LLRs (n,) with labels (n,), 1 = spoof."""
        self.figure(plots.det_figure(llr, labels), "det")
        self.figure(plots.roc_figure(llr, labels), "roc")
        self.figure(plots.confusion_figure(llr, labels, threshold), "confusion")
        self.figure(plots.score_figure(llr, labels, threshold), "scores")

    def figure(self, figure: Figure, name: str) -> None:
        """Log a figure as figures/NAME.png."""
        with self._sent(f"The figure {name} is missing from the run."):
            self._client.log_figure(self.run_id, figure, f"figures/{name}.png")

    def folder(self, path: Path, name: str) -> None:
        """Log the files in a folder as the artifact folder `name`."""
        with self._sent(f"The folder {name} is missing from the run."):
            self._client.log_artifacts(self.run_id, str(path), name)

    def close(self, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        with self._sent("The run is still shown as running."):
            self._client.set_terminated(self.run_id, status)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _end_abandoned(self, home: str) -> None:
        """Call runs KILLED whose process, on this machine, ended without a word (SIGKILL)."""
        with self._sent("Runs that were abandoned may be shown as running."):
            for run in self._client.search_runs([home], "attributes.status = 'RUNNING'"):
                host, _, process = run.data.tags.get(PROCESS, "").rpartition(":")
                if host == platform.node() and process.isdecimal() and not is_running(int(process)):
                    self._client.set_terminated(run.info.run_id, "KILLED")

    def _log_params(self, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        rows = [Param(key, value[:LONGEST_PARAM]) for key, value in params.items()]
        for start in range(0, len(rows), PARAMS_A_BATCH):
            self._client.log_batch(self.run_id, params=rows[start : start + PARAMS_A_BATCH])

    @contextmanager
    def _sent(self, otherwise: str) -> Iterator[None]:
        try:
            with readable_errors():
                yield
        except HearsayError as error:
            warnings.warn(f"{error} {otherwise}", stacklevel=4)


@contextmanager
def run_detector(run: str) -> Iterator[tuple[Path, str | None]]:
    """The detector folder of a run, and the MLflow run id if the store knows it.

    run: a detector folder, a run's folder with `detector` in it, or an MLflow run id, whose
    detector is fetched and is gone afterwards. Raises HearsayError when it is none of these.
    """
    folder = Path(run)
    if (folder / "config.json").is_file():
        yield folder, None
    elif (folder / "detector" / "config.json").is_file():
        run_id = _checkpoint_run(folder / "checkpoint.pt")
        yield folder / "detector", run_id if run_id and known(run_id) else None
    elif not known(run):
        raise HearsayError(f"'{run}' is no run folder, no detector folder and no MLflow run id.")
    else:
        with tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
            with readable_errors():
                fetched = mlflow_client().download_artifacts(run, "detector", scratch)
            yield Path(fetched), run


def known(run_id: str) -> bool:
    """Does the store hold this run? HearsayError when it cannot be asked."""
    client = mlflow_client()
    from mlflow.exceptions import MlflowException

    with readable_errors():
        try:
            return client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as one level of text: {"augment": {"noise": 0.5}} -> "augment.noise"."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def environment() -> dict[str, str]:
    """What a run's speed and last decimals depend on: versions and processor, as tags."""
    packages = ("torchaudio", "torchvision", "numpy")
    found = {f"version.{package}": version(package) for package in packages}
    found |= {"version.torch": torch.__version__}  # names the build as well
    found |= {"version.python": platform.python_version(), "platform": platform.platform()}
    found |= {"cpu": _processor(), "cores": str(os.cpu_count())}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def git_state(root: Path = ROOT) -> dict[str, str]:
    """Commit of a checkout and whether tracked files differ from it, as tags; {} outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}


def _this_process() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _checkpoint_run(path: Path) -> str | None:
    """The MLflow run id that a training checkpoint keeps."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    run_id: str | None = state.get("run_id")
    return run_id
