"""Threads, the allocator and memory of this process."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

MLFLOW = {  # defaults that anybody may override
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # an unreachable server shows within seconds
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc, malloc.h


def prepare(threads: int | None = None) -> None:
    """Set the thread count, and let glibc keep the memory that is freed; first in a program.

    By default glibc maps and unmaps every tensor above 32 MB at each call, and the page faults cost
    AASIST half its time; kept in the heap it runs about twice as fast with the same numbers.
    Threads other than the first, as a page has them, would get heaps of their own that are given
    back whatever the threshold, hence one arena for all. Only glibc has these settings.

    Args:
        threads: That many; every core if None.
    """
    if sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_ARENA_MAX, 1)
    torch.set_num_threads(threads or os.cpu_count() or 1)


def quiet_mlflow() -> None:
    """Turn MLflow's telemetry and chatter off; it reads this when it is imported.

    Call it before that, and before transformers, whose relative accelerate imports MLflow.
    """
    for name, value in MLFLOW.items():
        os.environ.setdefault(name, value)


def peak_mb() -> float:
    """Highest resident memory of this process so far.

    Linux counts what the parent held at the fork into ru_maxrss, hence its own figure there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource  # Windows has none

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
