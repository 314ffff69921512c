"""What the page says about how often a method is right."""

from measured import measurement, use_measured
from toys import Tone, toy

from explain.hit_rates import BAND
from page.describe import hit_sentence

DETECTOR = toy(Tone(1000))


def test_what_was_not_measured_is_said_not_to_be():
    said = hit_sentence(DETECTOR, "cnn", "shapley-time")
    assert said == "Shapley values by time: how often it finds edits for cnn is not measured yet."


def test_the_hit_rate_is_said_with_chance_interval_and_number(monkeypatch):
    both = measurement(0.8) | measurement(0.75, axis=BAND)
    use_measured(monkeypatch, shapley_time=both)
    said = hit_sentence(DETECTOR, "cnn", "shapley-time")
    assert "finds a planted edit 8 times in 10 (95 % interval: 7 to 9) for cnn" in said
    assert "pointing blindly would find it 2 times" in said and "60 edits" in said
    said = hit_sentence(DETECTOR, "cnn", "shapley-time", BAND)
    assert "finds an exchanged band of 1 kHz 8 times in 10" in said
    use_measured(monkeypatch, shapley_time={"clips": 60})
    assert hit_sentence(DETECTOR, "cnn", "shapley-time") == (
        "Shapley values by time: too few planted edits turned cnn's verdict to say how often the "
        "highest place finds them."
    )
