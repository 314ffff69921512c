"""Fakers: each makes a spoofed copy of a bona fide clip, (n,) float32 at 16 kHz -> (n,)."""

from collections.abc import Callable

import numpy as np

from .griffin_lim import griffin_lim
from .hifigan import hifigan
from .lpc import lpc
from .sinusoidal import sinusoidal
from .smoothed import smoothed
from .world import world

Faker = Callable[[np.ndarray, np.random.Generator], np.ndarray]

FAKERS: dict[str, Faker] = {
    "griffin-lim": griffin_lim,
    "world": world,
    "lpc": lpc,
    "sinusoidal": sinusoidal,
    "smoothed": smoothed,
    "hifigan": hifigan,
}
