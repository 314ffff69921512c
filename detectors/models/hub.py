"""Any audio classifier of the Hugging Face hub, as it stands, with its labels told apart."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import huggingface
from .extractors import extractor
from .network import Network


class HubClassifier(Network):
    """Waveform to logit: (b, n) -> (b,), log-odds of the `fake` classes against the `real` ones.

    classifier: the model's config; features: see `extractors.extractor`; fake, real: indices of
    classes. With two classes the logit is fake's minus real's.
    """

    windows_at_once = 2  # a Whisper or AST pads each window to its full length

    def __init__(
        self,
        classifier: dict[str, Any],
        features: dict[str, Any],
        fake: Sequence[int],
        real: Sequence[int],
    ) -> None:
        super().__init__()
        self.fake, self.real = list(fake), list(real)
        self.extract = extractor(features)
        self.model = huggingface.classifier(classifier)
        classes = set(range(len(self.model.config.id2label or {})))
        if not (self.fake and self.real and classes >= {*self.fake, *self.real}):
            raise ValueError(f"fake and real name classes from 0 to {len(classes) - 1}.")

    def forward(self, x: Tensor) -> Tensor:
        classes = self.model(self.extract(x)).logits
        return torch.logsumexp(classes[:, self.fake], 1) - torch.logsumexp(classes[:, self.real], 1)
