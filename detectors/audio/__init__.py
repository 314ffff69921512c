"""Reading sound: a path, bytes or (rate, array) in, a mono 16 kHz Waveform with facts out."""

from .reader import read
from .voice_activity import speech_spans
from .waveform import RATE, AudioError, Facts, Waveform, bare

__all__ = [
    "RATE",
    "AudioError",
    "Facts",
    "Waveform",
    "bare",
    "read",
    "speech_spans",
]
