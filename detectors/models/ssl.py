"""A self-supervised speech backbone (wav2vec 2.0, WavLM, HuBERT, XLS-R, Whisper's encoder ...), a
learned weighting of its layers (Yang et al. 2021, SUPERB, arXiv:2105.01051), and a small head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import huggingface
from .aasist import AASIST, SINC_FILTERS, ResidualBlock
from .cnn import AttentivePool
from .extractors import extractor
from .network import Network

TUNINGS = ("frozen", "lora", "full")
# Feed-forward layers under all of the backbones' names. Not the attention's projections: WavLM
# reads their weights past an adapter, which would then learn nothing.
ADAPTED = ["intermediate_dense", "output_dense", "fc1", "fc2", "dense"]


class LinearHead(nn.Module):
    """Mean over time and one linear layer: (b, t, width) -> (b,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, 1)

    def forward(self, frames: Tensor) -> Tensor:
        return self.out(frames.mean(dim=1)).squeeze(-1)


class MLPHead(nn.Module):
    """A hidden layer for each frame, attentive pooling, and another one: (b, t, width) -> (b,)."""

    def __init__(self, width: int, hidden: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, hidden)
        self.pool = AttentivePool(hidden)
        self.out = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, 1)
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.out(self.pool(F.gelu(self.narrow(frames)).transpose(1, 2))).squeeze(-1)


class GraphHead(AASIST):
    """AASIST on a backbone's frames: (b, t, width) -> (b,) (Tak et al. 2022, arXiv:2202.12233).

    The frames, narrowed to as many rows as AASIST has filters, stand in for its filters' energies.
    They are 320 times coarser than samples, so the residual blocks leave time as it is.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        del self.sinc
        self.narrow = nn.Linear(width, SINC_FILTERS - 1)
        for block in self.encoder.modules():
            if isinstance(block, ResidualBlock):
                block.register_module("mp", nn.Identity())

    def stem(self, x: Tensor) -> Tensor:
        """(b, t, width) -> (b, 1, 23, t // 3)."""
        rows = self.narrow(x).transpose(1, 2).unsqueeze(1)
        return self.selu(self.first_bn(F.max_pool2d(rows, 3)))


HEADS: dict[str, type[nn.Module]] = {"linear": LinearHead, "mlp": MLPHead, "aasist": GraphHead}


class SSL(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof, for any n of a quarter second or more.

    backbone: the encoder's Hugging Face config as a dict, so that nothing has to be fetched when a
    detector is opened; features: see `extractors.extractor`. head: one of `HEADS`. tuning: what
    `tune` makes trainable beside head and layer weights: nothing of the backbone ("frozen"),
    low-rank updates of its feed-forward layers of the given rank ("lora", Hu et al. 2022,
    arXiv:2106.09685), or all of it ("full").
    """

    windows_at_once = 4  # wav2vec 2.0's first convolution makes 26 MB of a window, some times over

    def __init__(
        self,
        backbone: dict[str, Any],
        features: dict[str, Any],
        head: str = "linear",
        tuning: str = "frozen",
        rank: int = 8,
    ) -> None:
        super().__init__()
        for name, value, there in (("head", head, HEADS), ("tuning", tuning, TUNINGS)):
            if value not in there:
                raise ValueError(f"{name} is one of {', '.join(there)}, not '{value}'.")
        self.tuning, self.rank = tuning, rank
        self.extract = extractor(features)
        self.backbone: Any = huggingface.backbone(backbone)
        config = self.backbone.config
        self.layers = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.head = HEADS[head](config.hidden_size)

    def tune(self) -> None:
        """Make trainable what `tuning` says; "lora" puts its adapters in, until `merge`."""
        self.requires_grad_(True)
        self.backbone.requires_grad_(self.tuning == "full")
        if self.tuning == "lora":
            from peft import LoraConfig, get_peft_model

            settings = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, target_modules=ADAPTED)
            self.backbone = get_peft_model(self.backbone, settings)

    def merge(self) -> None:
        """Add the adapters' updates to the weights, and leave a network without adapters."""
        if self.tuning == "lora":
            self.backbone = self.backbone.merge_and_unload()

    def train(self, mode: bool = True) -> SSL:
        """As ever, but a frozen backbone stays in eval mode: no dropout in what cannot adapt."""
        super().train(mode)
        if self.tuning == "frozen":
            self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # log-mel in half precision is noise
            features = self.extract(x)
        hidden = self.backbone(features, output_hidden_states=True).hidden_states
        # normalised, or the layer with the largest numbers would count most whatever its weight
        layers = zip(self.layers.softmax(dim=0), hidden, strict=True)
        return self.head(sum(weight * F.layer_norm(h, h.shape[-1:]) for weight, h in layers))
