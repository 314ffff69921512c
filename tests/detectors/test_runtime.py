"""Preparation: memory stays with the program, in whichever thread a detector runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, threading
import numpy as np
from detectors import load
from detectors.audio import bare
from detectors.runtime import prepare

prepare(1)
detector = load("aasist")
wave = bare(np.random.default_rng(0).normal(0, 0.1, 64_600).astype(np.float32))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    for _ in range(3):
        detector.score(wave)
    before = faults()
    for _ in range(3):
        detector.score(wave)
    print(faults() - before, flush=True)

work()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}),
    reason="only glibc's allocator is set",
)
def test_a_network_reuses_its_memory_in_every_thread():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    faults = [int(line) for line in done.stdout.split()]
    assert len(faults) == 2
    assert max(faults) < 15_000  # the thread had 50,000 when it had a heap of its own
