"""What weakens an answer is said with it, alike by everything that answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from sounds import VOICE, ffmpeg
from stores import make_detector
from toys import Linear, toy

from detectors import pyfunc_model
from detectors.__main__ import main
from detectors.assessment import assess
from detectors.audio import read
from detectors.cautions import cautions

FACTS = replace(read((16_000, VOICE)).facts, speech_seconds=5.0, bandwidth_hz=7000.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"kbps": 64.0}, None),
        ({"kbps": 24.4, "codec": "opus"}, "compressed hard (opus, 24 kbit/s)"),
        ({"speech_seconds": 1.0}, "little speech"),
        ({"bandwidth_hz": 3400.0}, "like a telephone"),
        ({"clipped": 0.02}, "It is clipped"),
        ({"codec": "pcm_u8"}, "8 bits"),
        ({"codec": "pcm_s16", "peak": 0.004}, "very faint"),
        ({"codec": "pcm_f32", "peak": 0.004}, None),
        ({"notes": ("damaged: 3 packets",)}, "Damaged: 3 packets."),
    ],
)
def test_each_weakness_is_a_sentence(changed, said):
    found = cautions(replace(FACTS, **changed))
    assert len(found) == (said is not None)
    assert said is None or (said in found[0] and found[0][0].isupper() and found[0][-1] == ".")


@pytest.fixture
def message(tmp_path):
    """Two seconds as a telephone's recorder keeps them."""
    ffmpeg(tmp_path / "message.amr", "libopencore_amrnb", 8_000)
    return tmp_path / "message.amr"


def test_command_and_served_model_say_what_the_answer_holds(message, tmp_path, capsys):
    detector = make_detector(tmp_path / "mine", name="mine")
    said = assess(message, {"mine": detector}).cautions
    assert all(any(word in one for one in said) for word in ("compressed hard", "telephone"))

    command = ["score", str(message), "--models", str(tmp_path / "mine")]
    assert main(command) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert lines == [f"  {sentence}" for sentence in said]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cautions"] == list(said)

    served = pyfunc_model.ServedDetector()
    served.detector = detector
    (row,) = served.predict(None, pd.DataFrame({"audio": [message.read_bytes()]}))
    assert row["cautions"] == list(said)


def test_what_a_detector_adds_stands_with_its_own_verdict(message):
    long, short = (toy(Linear(torch.zeros(n)), window=n) for n in (64_000, 16_000))
    found = assess(message, {"a-long": long, "short": short})
    assert "was repeated to 4.0 s" in found.cautions[-1]
    assert found.by("short").cautions == found.cautions[:-1]
    assert found.at(0.1).cautions == found.cautions
