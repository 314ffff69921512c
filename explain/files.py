"""What a command made, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from detectors.runtime import whole

from .explanation import ExplainError


def write(path: Path, content: str | bytes) -> None:
    """Write text or bytes; what cannot be written is an ExplainError that says why."""
    try:
        with whole(path) as scratch:
            scratch.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ExplainError(f"{path} cannot be written: {error.strerror}.") from error
