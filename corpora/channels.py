"""What recordings go through before somebody asks about them: codecs, rooms, noise, a telephone.

    x = encode(x, CODECS["opus-voip"].at(24))
    x = CONDITIONS["room"](x, rng)

Codecs run as they are, in memory: real encoders, real packets, FFmpeg's decoders. Everything maps
(n,) float32 at 16 kHz to (n,) float32 at the same place in time, to within a few milliseconds, and
is a function of its arguments alone: whatever is random comes out of `rng`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import numpy as np
import soxr
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, fftconvolve, sosfilt

from detectors.audio import RATE

Condition = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg's, and how it is used.

    rate: Hz that it codes at. kbps: bit rate, of codecs that have a choice. options: FFmpeg's.
    delay: samples at 16 kHz by which it is late and does not tell.
    """

    encoder: str
    container: str
    rate: int = RATE
    kbps: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    delay: int = 0

    def at(self, kbps: float) -> Codec:
        """The same at another bit rate."""
        return replace(self, kbps=kbps)


CODECS = {
    "opus-voip": Codec("libopus", "ogg", 48_000, 24, {"application": "voip"}),
    "opus-audio": Codec("libopus", "ogg", 48_000, 24, {"application": "audio"}),
    "aac": Codec("aac", "mp4", 44_100, 32),
    "mp3": Codec("libmp3lame", "mp3", RATE, 32),
    "amr-nb": Codec("libopencore_amrnb", "amr", 8_000, 12.2, delay=77),
    "g722": Codec("g722", "wav", delay=22),
    "g726": Codec("g726", "wav", 8_000, 32),
    "mu-law": Codec("pcm_mulaw", "wav", 8_000),
    "a-law": Codec("pcm_alaw", "wav", 8_000),
}


def encode(x: np.ndarray, codec: Codec) -> np.ndarray:
    """Encode and decode (n,) samples; what a decoder adds or drops at the ends is cut or zero."""
    file = io.BytesIO()
    _write(file, x if codec.rate == RATE else soxr.resample(x, RATE, codec.rate), codec)
    file.seek(0)
    coded = _read(file, codec)
    coded = coded if codec.rate == RATE else soxr.resample(coded, codec.rate, RATE)
    return fit(coded[codec.delay :], len(x))


def _write(file: io.BytesIO, x: np.ndarray, codec: Codec) -> None:
    pcm = np.clip(np.round(x * 32767), -32768, 32767).astype(np.int16)
    with av.open(file, "w", format=codec.container) as container:
        stream = container.add_stream(codec.encoder, rate=codec.rate, options={**codec.options})
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if codec.kbps:
            stream.bit_rate = round(1000 * codec.kbps)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = codec.rate, 0, Fraction(1, codec.rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def _read(file: io.BytesIO, codec: Codec) -> np.ndarray:
    with av.open(file, "r") as container:
        to_float = av.AudioResampler(format="flt", layout="mono", rate=codec.rate)
        frames = [
            piece for frame in container.decode(audio=0) for piece in to_float.resample(frame)
        ]
        frames += to_float.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def room(
    x: np.ndarray, decay_s: float, direct_db: float, cutoff_hz: float, rng: np.random.Generator
) -> np.ndarray:
    """A room: under the direct sound a tail of decaying noise (Polack 1988).

    Args:
        decay_s: Until the tail has fallen by 60 dB.
        direct_db: Of the direct sound's energy over that of the tail.
        cutoff_hz: Walls and air swallow what is above.
    """
    t = np.arange(max(int(decay_s * RATE), 2)) / RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    tail = sosfilt(butter(2, cutoff_hz, fs=RATE, output="sos"), tail)
    tail[: RATE // 500] = 0  # nothing comes back within 2 ms
    tail *= 10 ** (-direct_db / 20) / max(np.sqrt(np.sum(tail**2)), 1e-9)
    tail[0] = 1.0
    return fftconvolve(x, tail)[: len(x)].astype(np.float32)


def add(x: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """x with noise (n,) at a signal-to-noise ratio."""
    power = max(float(np.mean(noise**2)), 1e-20)
    gain = np.sqrt(np.mean(x**2) / power) * 10 ** (-snr_db / 20)
    return (x + gain * noise).astype(np.float32)


def coloured_noise(n: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power of slope: 0 white, 1 brown."""
    size = next_fast_len(n, real=True)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** slope
    return irfft(spectrum, size)[:n]


def babble(x: np.ndarray, voices: int, rng: np.random.Generator) -> np.ndarray:
    """Voices that nobody understands: the clip itself, backwards, at other places and speeds."""
    mixed = np.zeros(len(x), np.float32)
    for _ in range(voices):
        voice = soxr.resample(x[::-1], RATE, int(RATE * rng.uniform(0.85, 1.2)), quality="QQ")
        mixed += np.resize(np.roll(voice, rng.integers(len(voice))), len(x))
    return mixed


def music(n: int, rng: np.random.Generator) -> np.ndarray:
    """Chords of decaying harmonics, a few a second."""
    mixed, t = np.zeros(n), np.arange(n) / RATE
    beat = rng.uniform(0.25, 0.7)
    for onset in np.arange(-beat, n / RATE, beat):
        since = np.maximum(t - onset, 0)
        envelope = (t >= onset) * np.exp(-since / rng.uniform(0.15, 0.8))
        for note in rng.integers(40, 80, 3):
            hz = 440 * 2 ** ((note - 69) / 12)
            for harmonic in range(1, 6):
                mixed += envelope * np.sin(2 * np.pi * hz * harmonic * since) / harmonic
    return mixed


def equalise(x: np.ndarray, gains_db: tuple[float, ...]) -> np.ndarray:
    """A microphone or loudspeaker: a smooth frequency response through the gains, 0 to 8 kHz."""
    size = next_fast_len(len(x), real=True)
    hz = np.linspace(0, 1, size // 2 + 1)  # of Nyquist's
    at = np.linspace(0, 1, len(gains_db)) ** 1.5
    response = 10 ** (np.interp(hz, at, gains_db) / 20)
    return irfft(rfft(x, size) * response, size)[: len(x)].astype(np.float32)


def band(x: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Nothing much below and above: a telephone passes 300 to 3,400 Hz."""
    return sosfilt(
        butter(4, [low_hz, min(high_hz, 7900)], "band", fs=RATE, output="sos"), x
    ).astype(np.float32)


def gain_control(x: np.ndarray, seconds: float) -> np.ndarray:
    """Automatic gain: what is quiet is raised until it is nearly as loud as the rest."""
    smooth = butter(1, 1 / seconds, fs=RATE, output="sos")
    power = np.maximum(sosfilt(smooth, x.astype(np.float64) ** 2), 1e-3 * np.mean(x**2) + 1e-12)
    return (x * (np.mean(power) / power) ** 0.4).astype(np.float32)


def noise_suppression(x: np.ndarray, strength: float) -> np.ndarray:
    """Spectral subtraction (Boll 1979) of a share `strength` of the steady noise.

    Of noise alone the power of one bin in ten frames is below a tenth of its mean.
    """
    hop, size = 128, 512
    window = np.hanning(size + 1)[:-1] ** 0.5
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, size), size)[::hop] * window
    spectrum = rfft(frames, axis=1)
    power = np.abs(spectrum) ** 2
    floor = 10 * np.quantile(power, 0.1, axis=0)
    gain = np.sqrt(np.maximum(1 - strength * floor / np.maximum(power, 1e-12), 0.01))
    frames = irfft(spectrum * gain, size, axis=1) * window
    out = np.zeros(len(x) + 2 * size)
    for i, frame in enumerate(frames):
        out[i * hop : i * hop + size] += frame
    return (out[size : size + len(x)] / 2).astype(np.float32)


def packet_loss(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the packets of 20 ms is lost; the last one is repeated, fading."""
    out, packet = x.copy(), RATE // 50
    lost = rng.random(len(x) // packet) < share
    for i in np.flatnonzero(lost):
        if i:
            fade = np.linspace(0.9, 0.3, packet)
            out[i * packet : (i + 1) * packet] = out[(i - 1) * packet : i * packet] * fade
    return out


def quantise(x: np.ndarray, bits: float) -> np.ndarray:
    """Round to 2 ** bits steps from lowest to highest peak: 8 bits, or 16 of a faint recording."""
    step = 2 * max(float(np.max(np.abs(x))), 1e-9) / 2**bits
    return (np.round(x / step) * step).astype(np.float32)


def fit(x: np.ndarray, n: int) -> np.ndarray:
    """Cut or pad with zeros to n samples."""
    return np.pad(x[:n], (0, max(0, n - len(x)))).astype(np.float32)


# What `hearsay evaluate --conditions` puts each clip through
CONDITIONS: dict[str, Condition] = {
    "clean": lambda x, rng: x,
    "Opus 24 kbit/s": lambda x, rng: encode(x, CODECS["opus-voip"]),
    "Opus 12 kbit/s": lambda x, rng: encode(x, CODECS["opus-voip"].at(12)),
    "MP3 32 kbit/s": lambda x, rng: encode(x, CODECS["mp3"]),
    "AAC 32 kbit/s": lambda x, rng: encode(x, CODECS["aac"]),
    "AMR-NB": lambda x, rng: encode(x, CODECS["amr-nb"]),
    "telephone": lambda x, rng: encode(band(x, 300, 3400), CODECS["mu-law"]),
    "noise 15 dB": lambda x, rng: add(x, coloured_noise(len(x), 0.5, rng), 15),
    "room": lambda x, rng: room(x, 0.5, 2, 5000, rng),
    "gain -20 dB": lambda x, rng: x * np.float32(0.1),
    "2 s": lambda x, rng: x[: 2 * RATE],
    "1 s": lambda x, rng: x[:RATE],
}
