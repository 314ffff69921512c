"""Settings of all tests: laws are tried on the same examples at any speed, and MLflow is quiet."""

import pytest
from hypothesis import settings

from detectors.runtime import quiet_mlflow

settings.register_profile("same-each-time", deadline=None, derandomize=True)
settings.load_profile("same-each-time")
quiet_mlflow()  # before a test module imports transformers


@pytest.fixture(autouse=True, scope="session")
def no_store(tmp_path_factory):
    """What somebody has promoted on this machine changes no test."""
    with pytest.MonkeyPatch.context() as patch:
        nowhere = tmp_path_factory.mktemp("store") / "none" / "mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{nowhere}")
        yield
