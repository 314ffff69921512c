"""The constant-Q spectrogram: bands like the keys of a piano, narrow below and wide above."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import preemphasis
from torchaudio.transforms import Resample

from ..audio import RATE
from .frontend import Frontend, check_hop


class LogCQT(Frontend):
    """Log-power constant-Q transform in dB: (b, n) -> (b, 1, octaves * per_octave, n // hop + 1).

    The wavelets of the top octave serve every octave, each on the signal at half the rate of the
    one above (Schörkhuber and Klapuri 2010). Scale and lengths are librosa's, and so are the zeros
    beyond the ends. `hz_edges` (bands + 1 values) are where the bands meet; hop is a multiple of
    2^(octaves - 1). The defaults are those of 2-D Res-TSSDNet (Hua et al. 2021). Raises ValueError
    for octaves that reach below 1 Hz or above half the sample rate, and for more than 200 bands in
    one.
    """

    def __init__(
        self,
        octaves: int = 9,
        per_octave: int = 48,
        low_hz: float = 15.0,
        hop: int = 256,
        emphasis: float = 0.97,
    ) -> None:
        super().__init__()
        fits = low_hz >= 1 and 1 <= octaves < 14 and low_hz * 2**octaves <= RATE / 2
        if not fits or not 1 <= per_octave <= 200:
            raise ValueError(
                f"{octaves} octaves of {per_octave} bands from {low_hz} Hz do not lie between 1 Hz "
                f"and {RATE // 2} Hz, with 1 to 200 bands each."
            )
        if hop % 2 ** (octaves - 1):
            raise ValueError(f"hop is a multiple of {2 ** (octaves - 1)}, not {hop}.")
        check_hop(hop)
        bands = octaves * per_octave
        self.hop, self.octaves, self.emphasis = hop, octaves, emphasis
        self.hz_edges = [low_hz * 2 ** ((k - 0.5) / per_octave) for k in range(bands + 1)]
        top = low_hz * 2 ** (torch.arange(bands - per_octave, bands).double() / per_octave)
        kernels = wavelets(top, 2 ** (1 / per_octave))
        self.wavelets: Tensor  # (2 * per_octave, 1, taps): real parts, then imaginary parts
        pair = torch.cat([kernels.real, kernels.imag]).float().unsqueeze(1)
        self.register_buffer("wavelets", pair, persistent=False)
        # flat to 0.96 of the new band, where the highest wavelet has ended
        self.halve = Resample(2, 1, "sinc_interp_kaiser", 64, rolloff=1.0, beta=8.0)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1] // self.hop + 1
        x = preemphasis(x, self.emphasis)
        power = []
        for octave in range(self.octaves):
            x = self.halve(x) if octave else x
            pair = F.conv1d(
                x.unsqueeze(1),
                self.wavelets,
                stride=self.hop // 2**octave,
                padding=self.wavelets.shape[-1] // 2,
            )
            real, imaginary = pair[..., :frames].chunk(2, dim=1)
            power.append(2**octave * (real.square() + imaginary.square()))
        return 10 * torch.log10(torch.cat(power[::-1], dim=1) + 1e-30).unsqueeze(1)


def wavelets(hz: Tensor, step: float) -> Tensor:
    """Hann-windowed complex tones at the frequencies `hz` (k,), complex (k, taps).

    step: from one frequency to the next; a window is as long as that resolution asks for. Each is
    scaled so that noise has the same power in all of them, as librosa scales.
    """
    length = RATE / hz.unsqueeze(1) * (step**2 + 1) / (step**2 - 1)
    half = int(length.max() / 2) + 1
    t = torch.arange(-half, half, dtype=torch.float64)
    window = (0.5 + 0.5 * torch.cos(2 * torch.pi * t / length)) * (t.abs() <= length / 2)
    tone = torch.polar(torch.ones_like(window), 2 * torch.pi * hz.unsqueeze(1) * t / RATE)
    return window / window.sum(dim=1, keepdim=True) * length.sqrt() * tone
