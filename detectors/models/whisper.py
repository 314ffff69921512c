"""The first layers of Whisper's encoder under a small head on their statistics over time.

Whisper learned to transcribe 680,000 hours of speech off the web, under every kind of channel. The
early layers still hold how speech sounds, where the later ones hold what was said; synthetic speech
shows in the former. No transformers needed: this is the encoder in plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import Network

WIDTH, ATTENTION_HEADS, MELS = 512, 8, 80  # of Whisper base
POSITIONS = 225  # 4.5 s of its 30: a window must not be longer
FRAMES = 400  # 4 s, of a mel spectrogram: what is shorter is repeated, as short recordings are


class Attention(nn.Module):
    """Multi-head self-attention: (b, t, width) -> same. Names as in transformers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        read = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(read.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, each on what a layer norm left: (b, t, width) -> same.

    The names are those of transformers' WhisperEncoderLayer.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    """Whisper's convolutions and its first transformer layers; names as in transformers.

    Source: Radford et al. 2022, "Robust speech recognition via large-scale weak supervision".
    """

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(POSITIONS, width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))

    def forward(self, mel: Tensor) -> list[Tensor]:
        """What convolutions and layers put out: (b, mels, frames) -> (b, frames / 2, width) each.

        Unpadded, layers from the fourth on drift from what they are in 30 s of padding.
        """
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        outputs = [x + self.embed_positions.weight[: x.shape[1]]]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        return outputs


class Head(nn.Module):
    """A perceptron with one hidden layer: (b, embedding) -> (b,).

    dropout: of the hidden layer; half as much of what it reads.
    """

    def __init__(self, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden, self.out = nn.Linear(embedding, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.hidden(F.dropout(x, self.dropout / 2, self.training)))
        return self.out(F.dropout(x, self.dropout, self.training)).squeeze(-1)

    def absorb(self, mean: Tensor, std: Tensor) -> None:
        """Read embeddings as they come where it learned from standardised ones."""
        with torch.no_grad():
            self.hidden.weight.div_(std)
            self.hidden.bias.sub_(self.hidden.weight @ mean)

    @staticmethod
    def average(heads: Sequence[Head]) -> Head:
        """The head whose logit is the mean of those of others: their hidden units side by side."""
        hidden, out = [head.hidden for head in heads], [head.out for head in heads]
        units = sum(layer.out_features for layer in hidden)
        merged = Head(hidden[0].in_features, units, heads[0].dropout)
        with torch.no_grad():
            merged.hidden.weight.copy_(torch.cat([layer.weight for layer in hidden]))
            merged.hidden.bias.copy_(torch.cat([layer.bias for layer in hidden]))
            merged.out.weight.copy_(torch.cat([x.weight for x in out], dim=1) / len(heads))
            merged.out.bias.copy_(torch.stack([x.bias for x in out]).mean(dim=0))
        return merged


class Whisper(Network):
    """Whisper's log-mel spectrogram -> logit: (b, 1, mels, frames) -> (b,), positive = spoof.

    A head reads mean and standard deviation over time of what the convolutions and each of `layers`
    layers put out.

    Args:
        layers: Of the encoder, 1 to 3 of Whisper base's six.
        hidden: Units of the head's hidden layer.
        dropout: See `Head`.
        width, attention_heads: Of the encoder, Whisper base's unless told.
    """

    embeds = True

    def __init__(
        self,
        layers: int = 3,
        hidden: int = 192,
        dropout: float = 0.5,
        width: int = WIDTH,
        attention_heads: int = ATTENTION_HEADS,
    ) -> None:
        super().__init__()
        if not 1 <= layers <= 3 or not 1 <= hidden <= 4096:
            raise ValueError("layers is 1, 2 or 3, and hidden 1 to 4096.")
        self.encoder = Encoder(layers, width, attention_heads)
        self.head = Head(2 * width * (layers + 1), hidden, dropout)

    def embed(self, features: Tensor) -> Tensor:
        """Means and standard deviations over time: (b, 1, mels, frames) -> (b, embedding).

        Fewer than FRAMES are repeated: heads learned from whole windows, and each position has an
        embedding of its own, so that half of them would have another mean.
        """
        mel = features.squeeze(1)
        times = -(-FRAMES // mel.shape[-1])
        outputs = self.encoder(mel.repeat(1, 1, times)[..., : max(FRAMES, mel.shape[-1])])
        moments = [moment for x in outputs for moment in (x.mean(dim=1), x.std(dim=1))]
        return torch.cat(moments, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.embed(features))

    def new_head(self) -> Head:
        embedding, hidden = self.head.hidden.in_features, self.head.hidden.out_features
        return Head(embedding, hidden, self.head.dropout)

    def take_heads(self, heads: Sequence[nn.Module], mean: Tensor, std: Tensor) -> dict[str, Any]:
        own = [head for head in heads if isinstance(head, Head)]
        for head in own:
            head.absorb(mean, std)
        self.head = Head.average(own)
        return {"hidden": self.head.hidden.out_features}

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Take the encoder, as far as it is used, and leave the head as it is.

        weights: Of Whisper, as transformers names them, or of a detector with another head.
        """
        wanted = self.encoder.state_dict()
        plain = {name.rpartition("encoder.")[2]: value.float() for name, value in weights.items()}
        if "embed_positions.weight" in plain:
            plain["embed_positions.weight"] = plain["embed_positions.weight"][:POSITIONS]
        self.encoder.load_state_dict({name: plain[name] for name in wanted if name in plain})

    def merge(self) -> None:
        """Round to half precision, which halves the file and moves no logit by a thousandth."""
        for weight in self.parameters():
            weight.data = weight.data.half().float()
