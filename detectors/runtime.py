"""What modules share: threads, a command line's frame, files as a whole, errors in plain words."""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Set the thread count, and let glibc keep the memory that it is given back.

    Call it once, first thing in a program. By default glibc maps and unmaps every tensor above
    32 MB at each call, and the page faults cost AASIST half its time; kept in the heap it runs
    about twice as fast with the same numbers. Threads other than the first, as a page has them,
    would get heaps of their own that are given back whatever the threshold, hence one arena for
    all. Only glibc has the settings; elsewhere nothing happens. threads: PyTorch's own choice if
    None.
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


def run(
    parser: argparse.ArgumentParser,
    bad_input: tuple[type[Exception], ...],
    arguments: list[str] | None = None,
) -> int:
    """Parse, prepare and call the command that `parser` chose (its default `command`).

    Returns the command's exit code, 0 if it gives none; 2 and the error's sentence on stderr for
    input that cannot be used.
    """
    parser.add_argument(
        "--threads", type=count, help="before the command; default: every core", metavar="N"
    )
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be of no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    prepare(options.threads)
    try:
        return options.command(options) or 0
    except bad_input as error:
        print(error, file=sys.stderr)
        return 2


def reason(error: BaseException) -> str:
    """What an error says, in one line; its type as well where that is a word or nothing."""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return said if " " in said else f"{type(error).__name__} {said}".strip()


def public(text: str) -> str:
    """Text with its URLs bare: no users and passwords, and no queries, which may be secret too."""
    nobody = re.sub(r"//[^/\s]*@", "//", text)
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", nobody)


def natural(text: str, least: int = 0) -> int:
    """A whole number from `least` on the command line; argparse says so where it is none."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"write a whole number from {least}")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on the command line."""
    return natural(text, 1)


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


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def output(text: str) -> Path:
    """An argument that names a file to write: refused at once where its folder is missing."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent} to write into")
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to that becomes `path` if all goes well, so nobody meets half a file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
