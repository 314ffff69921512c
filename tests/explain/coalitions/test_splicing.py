"""Spliced games equal the games played by masking, for every network that can be spliced."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import Tone, fused, hiss, toy, waveform
from voice import voice

from detectors import Config, Detector
from detectors.catalog import CATALOG
from explain import explain
from explain.coalitions.game import all_coalitions
from explain.coalitions.masking import baseline, windows
from explain.coalitions.segment import most_suspicious_segment
from explain.coalitions.splicing import _columns, _neighbours, splice, split

SMALL = {
    "cnn": {"channels": (6, 8, 8, 8)},
    "resnet": {"width": 4},
    "aasist": {"channels": (4, 8)},
    "transformer": {"depth": 1},
    "rawgat-st": {"narrow": 4, "wide": 8},
    "res-tssdnet": {},
    "inc-tssdnet": {},
    "rawnet2": {},
}


def small(architecture: str, window: int = 64_600, seed: int = 0, **changes) -> Detector:
    """A narrow network with random weights, and norms wide enough for its logit to move."""
    torch.manual_seed(seed)
    changes.setdefault("frontend", CATALOG[architecture].frontend)
    detector = Detector(
        Config(architecture, architecture, SMALL[architecture], window=window, **changes)
    )
    for name, value in detector.net.state_dict().items():
        if name.endswith("running_var"):
            value.fill_(0.02)
    return detector


def of_two() -> Detector:
    """A fusion of a network on the waveform and one on a spectrogram."""
    return fused(small("aasist"), small("cnn", frontend_options={"centre": True}))


def game(detector: Detector, samples: np.ndarray, players: int):
    segment = most_suspicious_segment(detector, waveform(samples))
    cut = windows(len(segment.samples), players)
    behind = baseline(segment.samples)
    pinned = segment.pin(detector)

    def naive(coalitions):
        masked = segment.fill(cut.mask(segment.samples, behind, coalitions))
        return pinned.logits(masked, levelled=True)

    return splice(detector, segment, cut, behind), naive


@pytest.mark.parametrize(("seconds", "players"), [(4.04, 8), (2.5, 5), (1.1, 3)])
@pytest.mark.parametrize("architecture", [*sorted(SMALL), "fusion"])
def test_spliced_and_masked_games_agree(architecture, seconds, players):
    detector = of_two() if architecture == "fusion" else small(architecture)
    spliced, naive = game(detector, voice(seconds, seed=1), players)
    some = all_coalitions(players)[np.random.default_rng(0).permutation(2**players)[:8]]
    with torch.inference_mode():
        got, wanted = spliced(some), torch.cat([naive(one[None]) for one in some])
    assert wanted.std() > 1e-3, "the game must not be flat"
    assert torch.allclose(got, wanted, atol=1e-3 * float(wanted.std()), rtol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("cnn", {}),
        ("cnn", {"n_fft": 1024, "hop": 200}),
        ("resnet", {"n_fft": 400}),
        ("aasist", {}),
        ("transformer", {}),
        ("rawgat-st", {}),
        ("res-tssdnet", {}),
        ("inc-tssdnet", {}),
        ("rawnet2", {}),
    ],
)
def test_no_column_reads_beyond_its_field(architecture, options):
    # NaN is contagious: what a column reads turns it into NaN.
    detector = small(architecture, frontend_options=options)
    stages, _ = split(detector)
    left = right = np.arange(64_600)  # every sample its own window
    if architecture == "rawnet2":
        assert stages.pop().layers is None, "gates hear every column of the stem's map"
    for spot in (0, 7_777, 40_000, 64_599):
        x = torch.from_numpy(hiss(64_600))[None]
        x[0, spot] = torch.nan
        layers = ()
        for stage in stages:
            with torch.inference_mode():
                x = stage.run(x)
            layers += stage.layers
            columns = _columns(64_600, layers)
            first, width = _neighbours(left, right, columns, layers)
            assert x.shape[-1] == columns
            touched = x.isnan().flatten(0, -2).any(dim=0).numpy()
            assert not touched[(first > spot) | (first + width <= spot)].any()


@pytest.mark.parametrize(
    ("architecture", "players", "passes"),
    [
        ("aasist", 8, 4),
        ("aasist", 12, 8),
        ("cnn", 8, 8),
        ("resnet", 8, 64),
        ("transformer", 8, 4),
        ("rawgat-st", 8, 4),
        ("res-tssdnet", 8, 4),
        ("inc-tssdnet", 8, 8),
    ],
)
def test_a_few_passes_serve_all_coalitions(architecture, players, passes):
    spliced, _ = game(small(architecture), hiss(64_600), players)
    assert (spliced.passes, spliced.each) == (passes, 0)


def test_what_hears_everything_is_played_for_each_coalition():
    spliced, _ = game(small("rawnet2"), hiss(64_600), 5)
    assert (
        spliced.each == 1 and len(spliced.games[0]._rest) == 2
    )  # the stem is spliced nevertheless


def test_a_stage_is_spliced_only_where_that_saves_passes():
    detector = small("aasist")
    segment = most_suspicious_segment(detector, waveform(hiss(64_600)))
    cut = windows(64_600, 40)  # every column of the last map hears a quarter of a second and more
    behind = baseline(segment.samples)
    spliced = splice(detector, segment, cut, behind, plays=42)
    assert (spliced.passes, spliced.each) == (0, 1)
    on = ~torch.eye(40, dtype=torch.bool)[[3, 20]]
    masked = cut.mask(segment.samples, behind, on)
    with torch.inference_mode():
        wanted = detector.logits(masked, levelled=True)
        assert torch.allclose(spliced(on), wanted, atol=1e-5)


def test_what_is_not_local_is_played_one_by_one():
    spliced, naive = game(toy(Tone(1000)), hiss(), 3)
    assert (spliced.passes, spliced.each) == (0, 1)
    with torch.inference_mode():
        assert torch.allclose(spliced(all_coalitions(3)), naive(all_coalitions(3)), rtol=1e-4)


@pytest.mark.parametrize("frontend", ["log-mel", "log-spec"])
def test_a_mask_does_not_move_what_remains_of_a_centred_picture(frontend):
    options = {"channels": (6, 8, 8, 8), "bands": 160 if frontend == "log-spec" else 80}
    settings = {"frontend": frontend, "frontend_options": {"centre": True}}
    detector = Detector(Config("cnn", "cnn", options, window=32_000, **settings))
    segment = most_suspicious_segment(detector, waveform(voice(2.0)))
    half = segment.samples.clone()
    half[16_000:] = 0
    pinned = segment.pin(detector).frontend
    whole, part = pinned(segment.samples[None]), pinned(half[None])
    assert torch.allclose(whole, detector.frontend(segment.samples[None]), atol=1e-5)
    assert torch.equal(whole[..., :95], part[..., :95])
    assert not torch.allclose(part[..., :95], detector.frontend(half[None])[..., :95], atol=0.1)


def test_explanations_use_the_splices():
    detector = small("aasist", window=32_000)
    x = voice(2.0)
    explanation = explain(detector, waveform(x), players=4)
    assert explanation.forwards == 4
    with torch.inference_mode():
        direct = float(detector.logits(torch.from_numpy(x)[None]))
    assert explanation.full == pytest.approx(direct, abs=1e-4)
    assert explanation.residual < 1e-6
