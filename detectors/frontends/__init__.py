"""Front-ends: a levelled waveform in, the spectrogram (or waveform) that a network reads out."""

from torch import nn

from .cqt import LogCQT
from .prosody import Prosody
from .spectrograms import LogMel, LogSpec, Mel, Raw

FRONTENDS: dict[str, type[nn.Module]] = {
    "raw": Raw,
    "log-mel": LogMel,
    "log-spec": LogSpec,
    "log-cqt": LogCQT,
    "mel": Mel,
    "prosody": Prosody,
}
