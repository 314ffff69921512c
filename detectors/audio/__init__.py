"""Reading sound: a path, bytes or (rate, array) in, a mono 16 kHz Waveform with facts out."""

from .decoder import AudioError
from .reader import RATE, Facts, Waveform, bare, read, speech_seconds, speech_spans

__all__ = [
    "RATE",
    "AudioError",
    "Facts",
    "Waveform",
    "bare",
    "read",
    "speech_seconds",
    "speech_spans",
]
