"""One clip heard by several detectors: the same scores, and no network runs twice."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from toys import fused, waveform
from voice import voice

from detectors import Config, Detector, bundled, load
from detectors.scoring import ScoringSession

SMALL = {"channels": [4, 6], "embedding": 8}
MEMBERS = [
    {
        "name": "mel", "architecture": "cnn", "options": SMALL,
        "frontend": "log-mel", "frontend_options": {"centre": True},
    },
    {
        "name": "spec", "architecture": "cnn", "options": {**SMALL, "bands": 160},
        "frontend": "log-spec", "frontend_options": {},
    },
]  # fmt: skip


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return fused(*(Detector(Config(**member, window=16_000)) for member in MEMBERS))


@pytest.fixture
def heard(monkeypatch):
    """How many windows each front-end's networks heard."""
    counts: Counter[str] = Counter()
    window_logits = Detector.window_logits

    def counted(detector, samples, starts):
        counts[detector.config.frontend] += len(starts)
        return window_logits(detector, samples, starts)

    monkeypatch.setattr(Detector, "window_logits", counted)
    return counts


def alone(fusion: Detector, n: int, **changes) -> Detector:
    """A detector of its own with a member's weights."""
    member = fusion.members[n]
    detector = Detector(dataclasses.replace(member.config, **changes))
    detector.net.load_state_dict(member.net.state_dict())
    return detector


@pytest.mark.parametrize("seconds", [0.7, 1.0, 3.4])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_scores_are_those_of_each_detector_by_itself(fusion, seconds, order):
    detectors = [fusion, alone(fusion, 0, pooling="max"), alone(fusion, 1)]
    wave = waveform(voice(seconds))
    session = ScoringSession(wave)
    for n in order:
        expected, got = detectors[n].score(wave), session.score(detectors[n])
        assert got.llr == pytest.approx(expected.llr, abs=1e-5)
        assert [w.llr for w in got.windows] == pytest.approx(
            [w.llr for w in expected.windows], abs=1e-5
        )
        assert got.notes == expected.notes


def test_a_network_that_a_fusion_holds_runs_once(fusion, heard):
    session = ScoringSession(waveform(voice(3.0)))
    for detector in (alone(fusion, 1), fusion, alone(fusion, 0), alone(fusion, 1)):
        session.score(detector)
    assert heard == {"log-mel": 3, "log-spec": 3}


def test_of_denser_windows_only_those_between_are_heard(fusion, heard):
    wave = waveform(voice(3.2))
    sparse = Detector(
        dataclasses.replace(fusion.config, hop_s=2.0), fusion.net, members=fusion.members
    )
    session = ScoringSession(wave)
    session.score(sparse)  # at 0, 2 and 2.2 s
    assert heard["log-mel"] == 3
    member = fusion.members[0]
    got = session.score(member)  # at 1 s as well
    assert heard["log-mel"] == 4
    expected = member.score(wave)
    assert [w.llr for w in got.windows] == pytest.approx([w.llr for w in expected.windows])


@pytest.mark.parametrize("changes", [{"level_normalise": False}, {"window": 12_000}])
def test_what_hears_otherwise_runs_again(fusion, heard, changes):
    wave = waveform(voice(3.0))
    other = alone(fusion, 0, **changes)
    session = ScoringSession(wave)
    session.score(fusion)
    assert session.score(other).llr == other.score(wave).llr
    assert heard["log-mel"] > 2 * 3


def test_other_weights_are_another_network(fusion, heard):
    wave = waveform(voice(1.0))
    other = alone(fusion, 0)
    other.net.out.bias.add_(1.0)
    session = ScoringSession(wave)
    session.score(fusion)
    assert session.score(other).llr == pytest.approx(other.score(wave).llr, abs=1e-6)
    assert heard["log-mel"] == 3


def test_members_read_the_level_of_their_fusion():
    raw = [Detector(Config(**member, window=16_000, level_normalise=False)) for member in MEMBERS]
    fusion, wave = fused(*raw), waveform(np.float32(0.1) * voice(1.0))
    assert ScoringSession(wave).score(fusion).llr == pytest.approx(fusion.score(wave).llr, abs=1e-5)
    with pytest.raises(ValueError, match="another level"):
        fused(raw[0], Detector(Config(**MEMBERS[1], window=16_000)))


def test_the_bundled_fusion_shares_its_networks_with_the_bundled_detectors(heard):
    bundle = load("fusion")
    names = [member.config.name for member in bundle.members]
    assert set(names) <= set(bundled())
    session = ScoringSession(waveform(voice(1.0)))
    for detector in (bundle, *map(load, names)):
        session.score(detector)
    assert heard.total() == len(names)
