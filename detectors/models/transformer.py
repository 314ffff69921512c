"""Convolutions on the complex spectrum, then a transformer over time.

The structure is that of Distill-MOS (Stahl and Gamper 2025, arXiv:2502.05356), a small network that
learned speech quality from XLS-R embeddings; training starts from its published weights. Quality
and synthesis leave similar traces, and the complex spectrum keeps the phase that a log-mel
spectrogram drops.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from .network import Network, Stage, layers_of

N_FFT, HOP = 320, 160
CHANNELS = (64, 64, 128, 256, 256, 256)
WIDTH = 200
FRAMES = 384  # the published position codes are spread over this many frames of 20 ms
PUBLISHED = {  # our names -> theirs
    "encoder.": "cnn.cnn.",
    "norm.0.": "transformer_pool_attn.norm_input.",
    "norm.1.": "transformer_pool_attn.transformer.norm.",
    "project.": "transformer_pool_attn.transformer.linear_proj.",
    "layers.": "transformer_pool_attn.transformer.transformer_encoder.layers.",
}


class ConvTransformer(Network):
    """Waveform to logit: (b, n) -> (b,), positive = spoof; n is at most 122,880 samples.

    depth: how many of the seven transformer layers there are. `encode` is local in time, `head` is
    the rest.
    """

    def __init__(self, depth: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n, (inputs, outputs) in enumerate(zip((2, *CHANNELS), CHANNELS, strict=False)):
            stride = (1 if n == 0 else 2, 2 if n == len(CHANNELS) - 1 else 1)
            layers += [nn.Conv2d(inputs, outputs, 3, stride, (0, 1)), nn.LeakyReLU(0.1)]
        self.encoder = nn.Sequential(*layers)
        folded = 4 * CHANNELS[-1]  # 161 bins leave four rows
        self.norm = nn.Sequential(nn.BatchNorm1d(folded), nn.BatchNorm1d(folded))
        self.project = nn.Linear(folded, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 8, 2 * WIDTH, dropout, batch_first=True)
            for _ in range(depth)
        )
        self.drop = nn.Dropout(0.3)
        self.attend = nn.Linear(WIDTH, 1)
        self.out = nn.Linear(2 * WIDTH, 1)
        self.window: Tensor
        self.places: Tensor
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("places", _places(), persistent=False)

    def local_stages(self) -> tuple[list[Stage], Callable[[Tensor], Tensor]]:
        spectrum = (N_FFT, HOP, (N_FFT - HOP) // 2)  # mirrored at the ends: nothing new is read
        return [Stage(self.encode, (spectrum, *layers_of(self.encoder)))], self.head

    def encode(self, x: Tensor) -> Tensor:
        """(b, n) -> (b, 1024, n // 320 or so), one column for 20 ms."""
        return self.encoder(self.spectrum(x)).flatten(1, 2)

    def spectrum(self, x: Tensor) -> Tensor:
        """Complex spectrum with its magnitude raised to 0.3: (b, n) -> (b, 2, 161, n // 160)."""
        pad = (N_FFT - HOP) // 2
        # the published weights saw recordings at full scale, about three times our level
        x = nn.functional.pad(3 * x, (pad, pad), mode="reflect")
        z = torch.stft(x, N_FFT, HOP, window=self.window, center=False, return_complex=True)
        power = z.real.square() + z.imag.square() + 1e-12
        return torch.stack([z.real, z.imag], dim=1) * power.pow(-0.35).unsqueeze(1)

    def head(self, encoded: Tensor) -> Tensor:
        """(b, 1024, t) -> (b,)."""
        x = self.project(self.norm(encoded).transpose(1, 2))
        x = x + self.places[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        weight = self.attend(x).softmax(dim=1)
        mean = (weight * x).sum(dim=1)
        spread = ((weight * x.square()).sum(dim=1) - mean.square()).clamp_min(1e-6).sqrt()
        return self.out(self.drop(torch.cat([mean, spread], dim=1))).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encode(x))

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Take over Distill-MOS's weights; the pooling and the logit stay fresh."""
        weights = weights.get("model", weights)  # type: ignore[assignment]
        own = self.state_dict()
        for name in own:
            for prefix, theirs in PUBLISHED.items():
                if name.startswith(prefix):
                    own[name] = weights[name.replace(prefix, theirs, 1)]
        self.load_state_dict(own)


def _places() -> Tensor:
    """Sine and cosine codes of the frames' places, (FRAMES, WIDTH)."""
    place = torch.arange(FRAMES).unsqueeze(1)
    rate = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(2 * FRAMES) / WIDTH))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2).flatten(1)
