"""The card says what the recipe and the clips say, and nothing of anybody else's corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.manifest import Clip
from detectors import Config
from training.card import card
from training.recipe import NetworkRecipe

RECIPE = NetworkRecipe(name="mine", architecture="cnn")
CONFIG = Config("mine", "cnn")


def clips(*languages: str, original: str = "") -> list[Clip]:
    return [
        Clip(f"{n}{original}", Path("a.wav"), "spoof", language=language, original=original)
        for n, language in enumerate(languages)
    ]


def test_a_bare_recipe_names_its_manifest_and_claims_no_more():
    text = card(CONFIG, RECIPE, clips("", ""), clips(""), "The manifest calls.csv.")
    assert "The manifest calls.csv." in text
    assert "2 clips to learn from, 1 to select and calibrate on" in text
    for foreign in ("Apache", "Weights", "demonstration", "Copies", "copies of", "Mostly"):
        assert foreign not in text.partition("## Recipe")[0]


def test_what_the_recipe_and_the_clips_say_is_said():
    told = replace(RECIPE, credit="a net", copies=("world",))
    learn = [*clips("fi", "fi", "sv"), *clips("fi", original="0")]
    text = card(CONFIG, told, learn, clips("en"), "Calls of 2024.", "CC0")
    assert "Calls of 2024." in text
    assert "Weights: CC0; training started from a net." in text
    assert "4 clips to learn from (1 of them copies of bona fide ones by world)" in text
    assert "- Mostly fi, sv; other languages" in text
