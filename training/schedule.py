"""How the learning rate moves, and how weights are averaged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def warmup_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor on the learning rate: linear over a share `warmup` of it, then half a cosine."""
    warm = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warm) / max(1, steps - warm)))))

    return factor


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that forgets the first, untrained weights quickly."""

    def blend(average: Tensor, weight: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():  # batch counters
            return weight
        return torch.lerp(weight, average, min(decay, (1 + int(count)) / (10 + int(count))))

    return blend
