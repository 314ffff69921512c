"""Hugging Face models from their configs alone: no hub, no code but the library's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ..runtime import quiet_mlflow

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# Randomness in training beyond dropout, some of it from NumPy's generator, which no resume restores
QUIET = {"layerdrop": 0.0, "encoder_layerdrop": 0.0, "apply_spec_augment": False}


def library() -> Any:
    """The package transformers, imported on first use since that takes seconds.

    Raises ValueError where it is not installed.
    """
    quiet_mlflow()
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            f"Hugging Face models need the extra 'ssl': uv pip install -e '.[ssl]' ({error})."
        ) from error
    return transformers


def backbone(described: dict[str, Any]) -> PreTrainedModel:
    """Fresh speech encoder of a config written as a dict; of Whisper the encoder without decoder.

    Raises ValueError for a config that describes no speech encoder.
    """
    if model_type(described) == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return _built(WhisperEncoder._from_config, {**described, **QUIET})
    return _built(library().AutoModel.from_config, {**described, **QUIET})


def classifier(described: dict[str, Any]) -> PreTrainedModel:
    """Fresh audio classifier of a config written as a dict, with the same errors as `backbone`."""
    return _built(library().AutoModelForAudioClassification.from_config, described)


def describe(config: PreTrainedConfig) -> dict[str, Any]:
    """A config as a dict of what its class declares; ValueError if it is not of a speech model.

    Whatever else a file says is dropped: among it may be names of code to run (auto_map) and of
    kernels to download (attn_implementation).
    """
    known = _fields(type(config)) - {"dtype", "transformers_version"}
    described = {k: v for k, v in config.to_dict().items() if k in known}
    described["model_type"] = config.model_type
    model_type(described)
    return described


def model_type(described: dict[str, Any]) -> str:
    """The model type, if it is one of speech: some others fetch parts of themselves when built."""
    speech = library().models.auto.modeling_auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES
    if not isinstance(described, dict):
        raise ValueError(f"'{described}' names a model; a detector holds the model's config.")
    name = described.get("model_type")
    if name not in speech:
        raise ValueError(f"'{name}' is no type of speech model; there are {', '.join(speech)}.")
    return str(name)


def _built(build: Callable[..., PreTrainedModel], described: dict[str, Any]) -> PreTrainedModel:
    from huggingface_hub.errors import StrictDataclassError

    name = model_type(described)
    auto = library().AutoConfig
    known = _fields(type(auto.for_model(name)))
    try:
        config = auto.for_model(name, **{k: v for k, v in described.items() if k in known})
        return build(config, dtype=torch.float32)
    except (StrictDataclassError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"No {name} can be built of this config: {error}") from error


def _fields(config: type[PreTrainedConfig]) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}
