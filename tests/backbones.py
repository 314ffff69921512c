"""Hugging Face folders of the real classes, tiny and random, as a hub model lies on disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from transformers import (
    ASTFeatureExtractor,
    AutoConfig,
    AutoModel,
    AutoModelForAudioClassification,
    PreTrainedConfig,
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    SequenceFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

CONVOLUTIONS = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
    "initializer_range": 0.3,  # far enough from zero that logits differ from clip to clip
}
WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
    "classifier_proj_size": 8,
    "init_std": 0.3,
}
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.3,
}
AST = BERT | {"max_length": 128}
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}  # the XLS-R family
SPEECH = {
    "wav2vec2": ("wav2vec2", CONVOLUTIONS),
    "xls-r": ("wav2vec2", CONVOLUTIONS | LARGE),
    "wavlm": ("wavlm", CONVOLUTIONS),
    "hubert": ("hubert", CONVOLUTIONS),
    "whisper": ("whisper", WHISPER),
    "wav2vec2-bert": ("wav2vec2-bert", BERT),
    "ast": ("audio-spectrogram-transformer", AST),
}
FEATURES = {
    "wav2vec2": Wav2Vec2FeatureExtractor,
    "wavlm": partial(Wav2Vec2FeatureExtractor, do_normalize=False),
    "hubert": Wav2Vec2FeatureExtractor,
    "whisper": WhisperFeatureExtractor,
    "wav2vec2-bert": SeamlessM4TFeatureExtractor,
    "audio-spectrogram-transformer": partial(ASTFeatureExtractor, max_length=128),
}


def backbone(folder: Path, name: str = "wav2vec2") -> Path:
    """Write a random model of `SPEECH` with its feature extractor; returns the folder."""
    return _write(folder, AutoModel.from_config(_config(name)))


def classifier(
    folder: Path, name: str = "wav2vec2", labels: tuple[str, ...] = ("fake", "real")
) -> PreTrainedModel:
    """The same with a classification head, over what `labels` names; returns the model."""
    config = _config(name, id2label=dict(enumerate(labels)))
    model = AutoModelForAudioClassification.from_config(config).eval()
    _write(folder, model)
    return model


def extractor(model_type: str) -> SequenceFeatureExtractor:
    """The feature extractor of a model type, as published models have it."""
    return FEATURES[model_type]()


def _config(name: str, **changes: object) -> PreTrainedConfig:
    torch.manual_seed(0)
    model_type, sizes = SPEECH[name]
    return AutoConfig.for_model(model_type, **sizes, **changes)


def _write(folder: Path, model: PreTrainedModel) -> Path:
    model.save_pretrained(folder)
    extractor(model.config.model_type).save_pretrained(folder)
    return folder
