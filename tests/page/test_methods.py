"""Which methods the page offers, and what it says about how often they are right."""

import json

import pytest
from toys import Tone, toy

from detectors import BUNDLED, bundled, load
from explain import METHODS
from explain.measure.baselines import TRIVIAL
from page.methods import (
    BANDS,
    NAMES,
    SECONDS,
    best,
    hit_rates,
    hit_sentence,
    joined,
    named,
    network_fingerprint,
    offered,
    passed,
)


def figures(auc, pointing=0.8, kind="time_swap", within=0.0):
    own = {"auc": auc, "auc_ci": [auc - within, auc + within], "n": 60}
    own |= {"pointing": pointing, "pointing_ci": [0.7, 0.9], "chance": 0.22}
    return {kind: own}


def run(methods, clips=60):
    """What `explain evaluate` writes, as far as the page reads it."""
    return {"clips": clips, "methods": methods}


def rates(**aucs):
    """Rates of one run on cnn; a method's dash is written as an underscore."""
    return joined(
        [run({name.replace("_", "-"): {"cnn": figures(auc)} for name, auc in aucs.items()})]
    )


def test_every_method_has_a_name_for_people():
    assert NAMES.keys() == METHODS.keys()
    assert len(set(NAMES.values())) == len(NAMES)


def test_without_measurements_all_valid_methods_are_offered_and_it_is_said():
    names = offered(toy(Tone(1000)), "cnn", {})
    assert "shapley-time" in names and "gradcam" not in names
    said = hit_sentence("shapley-time", "cnn", {})
    assert said == "Shapley values by time: how often it finds edits for cnn is not measured yet."


def test_what_a_trivial_map_beats_is_not_offered():
    measured = rates(shapley_time=0.8, occlusion=0.55, uniform=0.5, energy=0.6)
    assert passed("shapley-time", "cnn", measured)
    assert not passed("occlusion", "cnn", measured)
    names = offered(toy(Tone(1000)), "cnn", measured)
    assert "shapley-time" in names and "occlusion" not in names
    assert "occlusion" in offered(toy(Tone(1000)), "resnet", measured)  # measured for cnn alone
    assert best(("gradcam", "occlusion"), toy(Tone(1000)), "cnn", measured) is None


def test_the_one_that_was_measured_to_be_best_is_shown_first():
    wanted = ("shapley-time", "lime-time", "occlusion")
    detector = toy(Tone(1000))
    assert best(wanted, detector, "cnn", {}) == "shapley-time"
    measured = rates(shapley_time=0.8, lime_time=0.7, occlusion=0.82)
    assert best(wanted, detector, "cnn", measured) == "occlusion"
    assert best(wanted, detector, "resnet", measured) == "shapley-time"  # measured for cnn alone
    nearly = rates(shapley_time=0.801, lime_time=0.8049, occlusion=0.79)
    assert best(wanted, detector, "cnn", nearly) == "shapley-time"  # both are printed as 0.80
    beaten = rates(shapley_time=0.8, lime_time=0.9, energy=0.91, occlusion=0.95)
    assert best(wanted, detector, "cnn", beaten) == "occlusion"


@pytest.mark.parametrize("trivial", TRIVIAL)
def test_every_trivial_map_counts(trivial):
    beaten = rates(**{"occlusion": 0.7, trivial.replace("-", "_"): 0.71})
    assert not passed("occlusion", "cnn", beaten)


def test_a_method_passes_if_its_whole_interval_lies_above_the_trivial_maps():
    for within, good in ((0.05, True), (0.15, False)):
        wide = {"occlusion": {"cnn": figures(0.7, within=within)}, "energy": {"cnn": figures(0.6)}}
        assert passed("occlusion", "cnn", joined([run(wide)])) is good


def test_a_single_clip_which_has_no_interval_turns_no_method_away():
    one = {"occlusion": {"cnn": figures(0.5)}, "energy": {"cnn": figures(0.6)}}
    one["occlusion"]["cnn"]["time_swap"]["auc_ci"] = None
    assert passed("occlusion", "cnn", joined([run(one)]))


def test_bands_are_judged_on_exchanged_bands():
    measured = {
        "shapley-bands": {"cnn": figures(0.7, kind="band_swap") | figures(0.1)},
        "energy": {"cnn": figures(0.6, kind="band_swap") | figures(0.9)},
    }
    assert passed("shapley-bands", "cnn", joined([run(measured)]))


def test_the_run_with_more_clips_counts_and_a_method_is_compared_on_its_own_clips():
    few = run({"occlusion": {"cnn": figures(0.6)}, "energy": {"cnn": figures(0.7)}}, clips=10)
    many = run({"occlusion": {"cnn": figures(0.8)}, "energy": {"cnn": figures(0.75)}}, clips=90)
    slow = run({"lime-time": {"cnn": figures(0.72)}, "energy": {"cnn": figures(0.71)}}, clips=20)
    for runs in ([few, many, slow], [slow, many, few]):
        assert joined(runs)["occlusion"]["cnn"]["time_swap"]["auc"] == 0.8
        assert passed("occlusion", "cnn", joined(runs))
        assert passed("lime-time", "cnn", joined(runs))  # energy has 0.75 on other clips


def test_what_was_measured_with_other_weights_says_nothing(monkeypatch, tmp_path):
    for weights, auc in (("old", 0.9), ("new", 0.7)):
        result = run({"occlusion": {"cnn": figures(auc)}}) | {"weights": {"cnn": weights}}
        (tmp_path / f"{weights}.json").write_text(json.dumps(result))
    monkeypatch.setattr("page.methods.HIT_RATES", tmp_path)
    hit_rates.cache_clear()
    for weights, auc in (("old", 0.9), ("new", 0.7)):
        assert hit_rates(weights)["occlusion"]["cnn"][SECONDS]["auc"] == auc
    assert "not measured yet" in hit_sentence("occlusion", "cnn", hit_rates("retrained"))
    hit_rates.cache_clear()


def test_every_detector_that_comes_along_was_measured():
    for name in bundled():
        rates = hit_rates(network_fingerprint(load(BUNDLED / name)))
        assert any(name in by_detector for by_detector in rates.values()), name


def test_what_is_shown_by_frequency_is_chosen_and_judged_by_exchanged_bands():
    measured = {
        "occlusion": {"cnn": figures(0.9) | figures(0.7, kind=BANDS)},
        "shapley-time": {"cnn": figures(0.8) | figures(0.75, kind=BANDS)},
        "energy": {"cnn": figures(0.6) | figures(0.72, kind=BANDS)},
    }
    known = joined([run(measured)])
    wanted = ("occlusion", "shapley-time")
    assert best(wanted, toy(Tone(1000)), "cnn", known) == "occlusion"
    assert best(wanted, toy(Tone(1000)), "cnn", known, BANDS) == "shapley-time"
    said = hit_sentence("shapley-time", "cnn", known, BANDS)
    assert "finds an exchanged band of 1 kHz 8 times in 10" in said
    measured["energy"] = {"cnn": figures(0.9, kind=BANDS)}
    assert best(wanted, toy(Tone(1000)), "cnn", joined([run(measured)]), BANDS) is None


def test_what_has_too_small_an_area_is_not_the_best():
    measured = rates(shapley_time=0.796, occlusion=0.7, energy=0.6)
    wanted, detector = ("occlusion", "shapley-time"), toy(Tone(1000))
    assert best(wanted, detector, "cnn", measured, least=0.8) == "shapley-time"  # printed as 0.80
    assert best(wanted, detector, "cnn", measured, least=0.81) is None
    assert best(wanted, detector, "resnet", measured, least=0.81) == "occlusion"  # not measured


def test_the_hit_rate_is_said_with_chance_interval_and_number():
    said = hit_sentence("shapley-time", "cnn", rates(shapley_time=0.8))
    assert "finds a planted edit 8 times in 10 (95 % interval: 7 to 9) for cnn" in said
    assert "pointing blindly would find it 2 times" in said and "60 edits" in said
    nothing = {"shapley-time": {"cnn": {"time_swap": {"auc": None, "pointing": None, "n": 0}}}}
    said = hit_sentence("shapley-time", "cnn", nothing)
    assert said == (
        "Shapley values by time: too few planted edits turned cnn's verdict to say how often the "
        "highest place finds them."
    )


def test_a_method_without_a_name_goes_by_its_own():
    assert named("tea-leaves") == "tea-leaves"
