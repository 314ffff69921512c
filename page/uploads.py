"""The folder of what strangers upload."""

from __future__ import annotations

import os
from pathlib import Path


def in_uploads(path: str) -> bool:
    """Is it a file in the folder of uploads, and not by a link that leads out of it?"""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    try:
        file = Path(path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return False
    return Path(path).is_absolute() and file.is_relative_to(folder) and file.is_file()
