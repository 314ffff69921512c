"""Which network a measurement was made on."""

from __future__ import annotations

import hashlib

from torch import nn


def fingerprint(net: nn.Module, said: str = "") -> str:
    """Twelve hex digits of a network's weights, and of what else is `said` of it."""
    digest = hashlib.sha256(said.encode())
    for name, weight in sorted(net.state_dict().items()):
        digest.update(name.encode() + weight.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
