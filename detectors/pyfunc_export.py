"""Writes a detector folder as an MLflow pyfunc model, which any MLflow client can serve.

The model carries the code of this package beside the detector folder (models from code, nothing
pickled), so a server needs only the pinned requirements.
"""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .audio import RATE
from .config import Config
from .folder import copy_folder, files_of

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

INSIDE = "artifacts/detector"  # where a pyfunc model keeps the detector folder
REQUIREMENTS = (
    "av",
    "numpy",
    "pandas",
    "praat-parselmouth",
    "pydantic",
    "safetensors",
    "silero-vad",
    "soxr",
    "torch",
    "torchaudio",
    "torchvision",
    "typing_extensions",
)
HUGGING_FACE = ("ssl", "hub")  # architectures that need transformers as well


def write(folder: Path, target: Path, model: Model) -> None:
    """Write the detector in `folder` as a pyfunc model to `target`, which does not exist yet.

    `model` is MLflow's description of it, already with the ids that the store has given.
    """
    import mlflow.pyfunc
    import pandas as pd

    package = Path(__file__).parent
    with tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
        detector, code = Path(scratch, "detector"), Path(scratch, package.name)
        copy_folder(folder, detector)
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("bundled", "__pycache__"))
        mlflow.pyfunc.save_model(
            path=str(target),
            python_model=str(package / "pyfunc_model.py"),
            artifacts={"detector": str(detector)},
            code_paths=[str(code)],
            signature=_signature(),
            input_example=pd.DataFrame({"audio": [_example()]}),
            pip_requirements=requirements(folder),
            mlflow_model=model,
        )


def requirements(folder: Path) -> list[str]:
    """What a server of such a detector needs beside MLflow, pinned to what is installed here."""
    configs = [path for path in files_of(folder).values() if path.name == "config.json"]
    built = {Config.read(path).architecture for path in configs}
    more = ("transformers",) if built & {*HUGGING_FACE} else ()
    # a release without its build ("2.11.0+cpu"), which no package index has
    return [f"{name}=={version(name).partition('+')[0]}" for name in (*REQUIREMENTS, *more)]


def _signature() -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    numbers = [ColSpec("double", name, required=False) for name in ("p_fake", "llr")]
    words = [ColSpec("string", name, required=False) for name in ("verdict", "error")]
    numbered = [Property(name, "double") for name in ("start_s", "end_s", "llr")]
    stretches = Array(Object([*numbered, Property("verdict", "string")]))
    lists = [
        ColSpec(kind, name, required=False)
        for name, kind in (("stretches", stretches), ("cautions", Array("string")))
    ]
    return ModelSignature(
        inputs=Schema([ColSpec("string", "audio")]),  # lists of samples pass as well
        outputs=Schema([*numbers, *words, *lists]),
        params=ParamSchema([ParamSpec("prior", "double", 0.5)]),
    )


def _example() -> str:
    """A second of a tone, as FLAC in base64: what MLflow keeps to show how to ask."""
    import soundfile

    file = io.BytesIO()
    tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    soundfile.write(file, tone, RATE, format="FLAC")
    return base64.b64encode(file.getvalue()).decode()
