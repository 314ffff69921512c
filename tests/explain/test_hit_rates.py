"""Which methods are offered and which is the best, by what was measured of a detector."""

import dataclasses
import json

import pytest
from measured import measurement, use_measured
from toys import Tone, toy

from detectors import BUNDLED, Detector, load
from explain import hit_rates
from explain.hit_rates import (
    BAND,
    MEASURED,
    beats_baselines,
    best,
    default_method,
    hit_rate,
    offered,
    was_measured,
)
from explain.measure.baselines import BASELINES

DETECTOR = toy(Tone(1000))


@pytest.mark.parametrize("path", sorted(MEASURED.glob("*.json")), ids=lambda path: path.stem)
def test_what_a_bundled_detector_is_explained_by_was_measured_on_its_very_weights(path):
    detector = load(BUNDLED / path.stem)
    method = default_method(detector)
    rate = hit_rate(detector, method)
    assert method in offered(detector) and was_measured(detector, method)
    assert rate.beats_baselines and rate.auc >= 0.6 and rate.n >= 20


def test_measurements_belong_to_a_detector_whatever_its_name():
    detector = load(BUNDLED / "cnn")
    config = dataclasses.replace(detector.config, name="ours")
    assert offered(Detector(config, detector.net)) == offered(detector)
    retrained = Detector(config)
    assert not was_measured(retrained, "shapley-time")
    assert hit_rate(retrained, "shapley-time") is None


def test_the_files_are_read_by_their_digests(monkeypatch, tmp_path):
    table = {"digest": DETECTOR.digest, "methods": {"occlusion": measurement(0.9)}}
    (tmp_path / "toy.json").write_text(json.dumps(table))
    monkeypatch.setattr(hit_rates, "MEASURED", tmp_path)
    assert hit_rate(DETECTOR, "occlusion").auc == 0.9
    assert hit_rate(toy(Tone(2000)), "occlusion") is None


def test_without_measurements_all_valid_methods_are_offered():
    assert "shapley-time" in offered(DETECTOR) and "gradcam" not in offered(DETECTOR)


def test_what_a_baseline_beats_is_not_offered(monkeypatch):
    use_measured(
        monkeypatch,
        shapley_time=measurement(0.8, energy=0.6),
        occlusion=measurement(0.62, energy=0.6),
    )
    assert beats_baselines(DETECTOR, "shapley-time")
    assert not beats_baselines(DETECTOR, "occlusion")
    assert "shapley-time" in offered(DETECTOR) and "occlusion" not in offered(DETECTOR)
    assert best(DETECTOR, ("gradcam", "occlusion")) is None


def test_the_one_that_was_measured_to_be_best_comes_first(monkeypatch):
    wanted = ("shapley-time", "lime-time", "occlusion")
    assert best(DETECTOR, wanted) == "shapley-time"
    use_measured(
        monkeypatch,
        shapley_time=measurement(0.8),
        lime_time=measurement(0.7),
        occlusion=measurement(0.82),
    )
    assert best(DETECTOR, wanted) == "occlusion"
    use_measured(
        monkeypatch,
        shapley_time=measurement(0.801),
        lime_time=measurement(0.8049),
        occlusion=measurement(0.79),
    )
    assert best(DETECTOR, wanted) == "shapley-time"  # both are printed as 0.80
    use_measured(
        monkeypatch,
        shapley_time=measurement(0.8, energy=0.91),
        lime_time=measurement(0.9, energy=0.91),
        occlusion=measurement(0.97, energy=0.91),
    )
    assert best(DETECTOR, wanted) == "occlusion"


def test_it_is_chosen_on_dev_where_dev_was_measured(monkeypatch):
    on_dev = {
        name: {"time/auc on dev": [auc, None, None, 9]} for name, auc in (("a", 0.7), ("b", 0.8))
    }
    use_measured(
        monkeypatch,
        shapley_time=measurement(0.9) | on_dev["a"],
        occlusion=measurement(0.8) | on_dev["b"],
        lime_time=measurement(0.95),
    )
    wanted = ("shapley-time", "lime-time", "occlusion")
    assert best(DETECTOR, wanted) == "occlusion"
    assert best(DETECTOR, wanted, least=0.85) == "shapley-time"  # what is quoted must be good


@pytest.mark.parametrize("baseline", BASELINES)
def test_every_baseline_counts(monkeypatch, baseline):
    use_measured(monkeypatch, occlusion=measurement(0.7, within=0.0, **{baseline: 0.71}))
    assert not beats_baselines(DETECTOR, "occlusion")


@pytest.mark.parametrize(("within", "good"), [(0.05, True), (0.15, False), (None, True)])
def test_the_whole_interval_must_lie_above_the_baselines(monkeypatch, within, good):
    use_measured(monkeypatch, occlusion=measurement(0.7, within=within, energy=0.6))
    assert beats_baselines(DETECTOR, "occlusion") is good  # a single clip has no interval


def test_bands_are_judged_on_exchanged_bands(monkeypatch):
    both = measurement(0.7, axis=BAND, energy=0.6) | measurement(0.1, energy=0.9)
    use_measured(monkeypatch, shapley_bands=both)
    assert beats_baselines(DETECTOR, "shapley-bands")


def test_what_is_shown_by_frequency_is_chosen_by_exchanged_bands(monkeypatch):
    methods = {
        "occlusion": measurement(0.9, energy=0.6) | measurement(0.7, axis=BAND, energy=0.6),
        "shapley_time": measurement(0.8, energy=0.6) | measurement(0.75, axis=BAND, energy=0.6),
    }
    use_measured(monkeypatch, **methods)
    wanted = ("occlusion", "shapley-time")
    assert best(DETECTOR, wanted) == "occlusion"
    assert best(DETECTOR, wanted, BAND) == "shapley-time"


def test_what_has_too_small_an_auc_is_not_the_best(monkeypatch):
    wanted = ("occlusion", "shapley-time")
    assert best(DETECTOR, wanted, least=0.81) == "occlusion"  # not measured
    use_measured(monkeypatch, shapley_time=measurement(0.796), occlusion=measurement(0.7))
    assert best(DETECTOR, wanted, least=0.8) == "shapley-time"  # printed as 0.80
    assert best(DETECTOR, wanted, least=0.81) is None
