"""Processes: workers end with their parent, and a command that is told to end closes all first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

import pytest

import hearsay
from detectors.commandline import run
from detectors.files import remove_scratch, write
from detectors.processes import exit_on_signal, is_running

PARENT = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from os import getpid
from detectors.processes import end_with_parent
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with ProcessPoolExecutor(1, context, end_with_parent) as pool:
        print(pool.submit(getpid).result(), flush=True)
        time.sleep(600)
"""
NO_PROCESS = 999_999_999  # ids end far below


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_worker_ends_when_its_parent_is_killed(tmp_path, method):
    (tmp_path / "parent.py").write_text(PARENT.format(method=method))
    root = str(Path(hearsay.__file__).parent)
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert is_running(worker)
    parent.kill()
    parent.communicate()
    for _ in range(600):
        if not is_running(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the worker is still there")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_what_is_open(number):
    signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored
    closed = []
    with pytest.raises(SystemExit) as ended, exit_on_signal():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            closed.append(True)
    assert ended.value.code == 128 + number and closed
    assert signal.getsignal(number) is signal.SIG_DFL


def test_ctrl_c_is_one_sentence_and_exit_code_130(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    parser = ArgumentParser()
    parser.set_defaults(command=interrupted)
    assert run(parser, []) == 130
    monkeypatch.setattr(hearsay.importlib, "import_module", interrupted)
    assert hearsay.main(["score", "clip.wav"]) == 130
    assert capsys.readouterr() == ("", "Stopped.\nStopped.\n")


def test_what_killed_processes_left_half_written_goes(tmp_path):
    write(tmp_path / "whole.json", "{}")
    for name in (f".a.npy.{os.getpid()}", ".hidden", ".notes.txt", ".2024"):
        (tmp_path / name).write_text("mine")
    stays = {*tmp_path.iterdir()}
    (tmp_path / f".a.npy.{NO_PROCESS}").write_text("half")
    (tmp_path / f".detector-abc.{NO_PROCESS}" / "new").mkdir(parents=True)
    remove_scratch(tmp_path)
    assert {*tmp_path.iterdir()} == stays
