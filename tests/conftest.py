"""Settings of all tests: laws are tried on the same examples at any speed, and MLflow is quiet."""

from hypothesis import settings

from detectors.runtime import quiet_mlflow

settings.register_profile("same-each-time", deadline=None, derandomize=True)
settings.load_profile("same-each-time")
quiet_mlflow()  # before a test module imports transformers
