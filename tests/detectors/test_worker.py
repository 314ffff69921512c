"""Decoding in a process of its own: limits hold, a killed child is a sentence, no process stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hostile import hostile_files, memory_mb, mp4_index
from sounds import VOICE, every_format, sndfile

from detectors.audio import AudioError, read, worker

ROOT = Path(__file__).parents[2]


def state(process: int) -> list[str]:
    """What Linux says of a process after its name: its state first, then its parent."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", "0"]


def alive(process: int) -> bool:
    return state(process)[0] != "Z"


def children(process: int) -> list[int]:
    every = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [one for one in every if alive(one) and int(state(one)[1]) == process]


def server() -> int:
    worker.SERVER.start()
    assert worker.SERVER.process is not None
    return worker.SERVER.process.pid


@pytest.mark.parametrize("samples", [20_000_000, 80_000_000, 0xFFFFFFFF])
@pytest.mark.parametrize("tracks", [1, 5, 20])
def test_an_index_of_millions_of_samples_takes_no_memory(samples, tracks):
    read(sndfile("WAV", "PCM_16"))
    before, started = memory_mb(), time.monotonic()
    with pytest.raises(AudioError):
        read(mp4_index(samples, tracks))
    assert memory_mb() - before < 5 and time.monotonic() - started < 10


@pytest.mark.parametrize("mode", [b"\x4c", b"\x7c"])
def test_frames_without_sound_are_given_up_on(mode):
    started = time.monotonic()
    with pytest.raises(AudioError):
        read(b"#!AMR\n" + mode * 2_000_000)
    assert time.monotonic() - started < 2


def test_hostile_files_give_sentences_or_recordings_and_take_no_memory(tmp_path):
    read(sndfile("WAV", "PCM_16"))
    before, kinds = memory_mb(), set()
    for name, data in hostile_files(64, tmp_path, seed=3):
        try:
            wave = read(data, max_seconds=60)
        except AudioError as error:
            assert str(error)[0].isupper() and str(error).endswith("."), name
            kinds.add(error.kind)
        else:
            assert np.isfinite(wave.samples).all() and np.abs(wave.samples).max() <= 1
    assert len(kinds) > 2
    assert memory_mb() < 1.1 * before


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.flac"
    path.write_bytes(sndfile("FLAC", "PCM_16", 48_000, np.tile(VOICE, 300)))
    return path


def test_a_child_that_is_killed_is_one_sentence_and_the_next_file_is_read(long):
    pid = server()

    def kill_one() -> None:
        deadline = time.monotonic() + 20
        while not (found := children(pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(found[0], signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_one)
        with pytest.raises(AudioError) as caught:
            read(long)
        killing.result()
    assert str(caught.value) == worker.KILLED and caught.value.kind == "unreadable"
    assert read(sndfile("WAV", "PCM_16")).facts.seconds == 2


def test_a_server_that_died_is_started_again():
    os.kill(server(), signal.SIGKILL)
    worker.SERVER.process.wait()
    assert read(sndfile("WAV", "PCM_16")).facts.seconds == 2


def test_a_server_that_was_stopped_is_started_again():
    pid = server()
    worker.SERVER.stop()
    assert not alive(pid)
    assert read(sndfile("WAV", "PCM_16")).facts.seconds == 2


def test_recordings_are_read_by_several_threads_at_once(tmp_path):
    files = [data for name, data in every_format(tmp_path).items() if name != "adpcm"]
    alone = [read(data).samples for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = [wave.samples for wave in pool.map(read, files)]
    assert all(map(np.array_equal, alone, together))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_program(long, end):
    code = (
        "from detectors.audio import worker; worker.SERVER.start()\n"
        "print(worker.SERVER.process.pid, flush=True)\n"
        f"while True: worker.decode_isolated({str(long)!r}, 1e4, 0, None, lambda block: None)"
    )
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    deadline = time.monotonic() + 60
    while not (running := children(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    program.send_signal(end)
    program.wait()
    program.stdout.close()
    gone = time.monotonic() + 5
    while any(map(alive, [pid, *running])) and time.monotonic() < gone:
        time.sleep(0.05)
    assert running and not any(map(alive, [pid, *running]))


def test_the_server_has_no_torch_in_it():
    pid = server()
    read(sndfile("WAV", "PCM_16"))
    assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()


def test_a_relative_path_is_that_of_the_program(tmp_path, monkeypatch):
    (tmp_path / "clip.wav").write_bytes(sndfile("WAV", "PCM_16"))
    monkeypatch.chdir(tmp_path)
    assert read("clip.wav").facts.seconds == 2
