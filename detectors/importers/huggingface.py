"""Hugging Face folders and hub models -> detectors. Only JSON and safetensors are ever read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from ..audio import RATE
from ..catalog import build
from ..config import Config
from ..detector import Detector
from ..errors import HearsayError, reason
from ..models.huggingface import describe, library
from ..models.network import Network

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READ = ("*.json", "*.safetensors")  # never Python, never pickles
UNUSED = "masked_spec_embed"  # only training with masks reads it, and many files lack it
WHISPER_HOP = 320  # samples a position of its encoder


def import_hub(
    source: str, name: str, fake: Sequence[str] = (), real: Sequence[str] = ()
) -> Detector:
    """Detector of an audio classifier as it stands, from a local folder or the hub.

    source: see `fetch`. fake, real: labels of the model; real is every other label if empty. The
    logit is that of fake against real, on raw levels as the model was trained. Raises
    HearsayError, which lists the model's labels when the mapping is missing or wrong.
    """
    folder = fetch(source)
    options: dict[str, Any] = _described(folder, "classifier")
    labels = {int(k): str(v) for k, v in options["classifier"]["id2label"].items()}
    options |= _mapping(source, labels, fake, real)
    try:
        net = build("hub", options)
    except ValueError as error:
        raise HearsayError(f"{source} cannot be read as a detector: {error}") from error
    model = _pretrained(folder, library().AutoModelForAudioClassification)
    net.get_submodule("model").load_state_dict(model.state_dict())
    return Detector(Config(name, "hub", options, frontend="raw", level_normalise=False), net)


def backbone_options(source: str, window: int) -> dict[str, Any]:
    """Options `backbone` and `features` of an `ssl` detector that starts from `source`.

    window: samples that the detector reads. A Whisper encoder is cut to it: its positions count
    from the beginning, so it need not read 30 s of padding. Raises HearsayError.
    """
    options = _described(fetch(source), "backbone")
    if options["backbone"]["model_type"] == "whisper":
        longest = options["backbone"]["max_source_positions"]
        positions = min(longest, -(-window // WHISPER_HOP))
        options["backbone"]["max_source_positions"] = positions
        options["features"]["samples"] = positions * WHISPER_HOP
    return options


def load_backbone(net: Network, source: str) -> None:
    """Give a fresh `ssl` network the pretrained weights of `source`; raises HearsayError."""
    model = _pretrained(fetch(source), library().AutoModel)
    weights = model.state_dict()
    backbone: Any = net.backbone
    if model.config.model_type == "whisper":
        weights = model.get_encoder().state_dict()
        kept = backbone.config.max_source_positions
        weights["embed_positions.weight"] = weights["embed_positions.weight"][:kept]
    backbone.load_state_dict(weights)


def fetch(source: str) -> Path:
    """Folder with a model's JSON and safetensors: a local one as it is, or a copy from the hub.

    source: a folder, or a hub model as OWNER/NAME or OWNER/NAME@REVISION. Raises HearsayError
    when it cannot be reached or holds no safetensors.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(source)
    if not (folder / "config.json").is_file():
        raise HearsayError(f"{source} holds no Hugging Face model: config.json is missing.")
    if not any(folder.glob("*.safetensors")):
        raise HearsayError(
            f"{source} holds no safetensors, and pickled weights are not read. Name a revision "
            "that has them, OWNER/NAME@refs/pr/N, or save the model as safetensors yourself."
        )
    return folder


def _download(source: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=[*READ]))
    except HFValidationError as error:
        raise HearsayError(
            f"'{source}' is neither a folder nor the name of a hub model."
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise HearsayError(
            f"There is no folder '{source}', and no such hub model can be reached: {reason(error)}."
        ) from error


def _described(folder: Path, part: str) -> dict[str, Any]:
    """A folder's config (under the name `part`) and feature extractor (`features`) as JSON."""
    from huggingface_hub.errors import StrictDataclassError

    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = library().AutoConfig.from_pretrained(folder, **local)
        extractor = library().AutoFeatureExtractor.from_pretrained(folder, **local)
        described = {part: describe(config), "features": _features(extractor, config)}
        return json.loads(json.dumps(described))
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise HearsayError(f"{folder} holds no speech model that can be read: {error}") from error


def _features(original: Any, config: Any) -> dict[str, Any]:
    """What `models.extractors.extractor` takes to do as a feature extractor of the library does."""
    kind = type(original).__name__
    if original.sampling_rate != RATE:
        raise ValueError(f"it reads sound at {original.sampling_rate} Hz, not {RATE}.")
    if kind == "Wav2Vec2FeatureExtractor":
        return {"kind": "samples", "normalise": original.do_normalize}
    if kind == "WhisperFeatureExtractor":
        samples = config.max_source_positions * WHISPER_HOP
        return {"kind": "whisper-mel", "mels": original.feature_size, "samples": samples}
    if kind == "ASTFeatureExtractor":
        mean, std = (original.mean, original.std) if original.do_normalize else (0.0, 0.5)
        size = {"mels": original.num_mel_bins, "frames": original.max_length}
        return {"kind": "kaldi-mel", **size, "mean": mean, "std": std}
    if kind == "SeamlessM4TFeatureExtractor":
        return {"kind": "stacked-mel", "mels": original.num_mel_bins, "stride": original.stride}
    raise ValueError(f"its feature extractor, {kind}, is not known here.")


def _mapping(
    source: str, labels: dict[int, str], fake: Sequence[str], real: Sequence[str]
) -> dict[str, list[int]]:
    """Classes whose label is called fake and those whose label is called real."""
    names = [labels[k] for k in sorted(labels)]
    there = f"The labels of {source} are {', '.join(names)}"
    if not fake:
        raise HearsayError(f"{there}: say which of them mean fake, --fake-label LABEL.")
    unknown = [label for label in (*fake, *real) if label not in names]
    if unknown:
        raise HearsayError(f"{there}; '{unknown[0]}' is none of them.")
    others = list(real) or [label for label in names if label not in fake]
    if not others or set(others) & set(fake):
        raise HearsayError(f"{there}: at least one must mean real, and none can mean both.")
    sides = {"fake": fake, "real": others}
    return {
        side: [k for k in sorted(labels) if labels[k] in names] for side, names in sides.items()
    }


def _pretrained(folder: Path, kind: Any) -> PreTrainedModel:
    """A folder's model with its weights in float32; HearsayError if some are missing."""
    try:
        model, found = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise HearsayError(f"The weights in {folder} cannot be read: {error}") from error
    missing = sorted(k for k in found["missing_keys"] if not k.endswith(UNUSED))
    if missing:
        raise HearsayError(
            f"{folder} holds no {type(model).__name__}: weights are missing "
            f"({', '.join(missing[:4])}{', ...' if missing[4:] else ''})."
        )
    return model
