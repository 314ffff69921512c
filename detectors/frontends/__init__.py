"""Front-ends: a levelled waveform in, the spectrogram (or waveform) that a network reads out."""

from .cqt import LogCQT
from .frontend import Frontend
from .prosody import Prosody
from .spectrograms import LogMel, LogSpec, Mel, Raw, WhisperMel

FRONTENDS: dict[str, type[Frontend]] = {
    "raw": Raw,
    "log-mel": LogMel,
    "log-spec": LogSpec,
    "log-cqt": LogCQT,
    "mel": Mel,
    "whisper-mel": WhisperMel,
    "prosody": Prosody,
}
