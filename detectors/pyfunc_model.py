"""What `mlflow models serve` runs: a registered detector behind MLflow's scoring protocol.

MLflow executes this file by itself (models from code), hence the absolute imports; the rest of the
program never imports it. A request has the column `audio` and a clip in each row, an audio file in
base64 or mono samples at 16 kHz:

    {"dataframe_split": {"columns": ["audio"], "data": [["UklGRiR9AABXQVZF..."]]}}
    {"inputs": {"audio": [[0.0, 0.012, -0.007]]}, "params": {"prior": 0.1}}

The answer has p_fake, llr, verdict, stretches, cautions and error for each row, in the same order.
"""

import base64
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from detectors import AudioError, Detector
from detectors.assessment import assess
from detectors.audio import RATE

COLUMNS = ("p_fake", "llr", "verdict", "stretches", "cautions", "error")  # of an Assessment


class ServedDetector(PythonModel):
    """One detector, opened from the version's own files."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the detector folder among the version's artifacts."""
        self.detector = Detector.open(context.artifacts["detector"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Score the clip in every row; one that cannot be scored says why in `error`."""
        prior = (params or {}).get("prior", 0.5)
        return [self._row(audio, prior) for audio in model_input["audio"]]

    def _row(self, audio: str | bytes | list[float], prior: float) -> dict[str, Any]:
        try:
            found = assess(_decode(audio), {self.detector.config.name: self.detector}, prior)
        except ValueError as error:  # audio that is no audio, a prior out of range
            return dict.fromkeys(COLUMNS) | {"error": str(error)}
        answer = found.to_dict()
        return {column: answer[column] for column in COLUMNS}


def _decode(audio: str | bytes | list[float]) -> bytes | tuple[int, np.ndarray]:
    try:
        if isinstance(audio, str):
            audio = base64.b64decode(audio, validate=True)
        return audio if isinstance(audio, bytes) else (RATE, np.asarray(audio, dtype=np.float32))
    except (ValueError, TypeError):
        reason = "The audio is neither a file written in base64 nor a list of numbers."
        raise AudioError("unreadable", reason) from None


set_model(ServedDetector())
