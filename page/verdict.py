"""Verdicts in words: what log-likelihood ratios mean to somebody who never heard the term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Kind of verdict -> the words on the page: a kind is a Calibration's verdict or an AudioError's.
WORDS = {
    "fake": "Likely fake",
    "real": "Likely real",
    "inconclusive": "Inconclusive",
    "mixed": "Mixed",
    "no-speech": "No speech",
    "too-short": "Too short",
    "too-long": "Too long",
    "empty": "Empty",
    "no-audio": "No sound",
    "not-finite": "Damaged",
    "unreadable": "Not readable",
}
OF_THE_WHOLE = (
    "This probability speaks of the whole recording, not of the part. A part is named where it "
    "stands out from the rest more than anything does in 19 of 20 recordings that are all real."
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLITS = {  # where an error rate was measured -> how the page says it, the best evidence first
    "test": "by speakers and generators that it had never heard",
    "dev": "from the set that it was tuned on",
}


def percent(p: float) -> str:
    """A probability in words; certainty is not on offer."""
    if p > 0.99:
        return "over 99 %"
    if p < 0.01:
        return "under 1 %"
    return f"{100 * p:.0f} %"


def prior_in_words(prior: float) -> str:
    """What P(fake) takes for granted."""
    if prior == 0.5:
        return "if every second recording like this one is fake"
    return f"if {100 * prior:.0f} in 100 recordings like this one are fake"


def error_rates(name: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """How often a detector is wrong, from what was measured with it: figures by split.

    At the line that was drawn on dev where that was measured, else at the one that suits best.
    """
    for split, where in SPLITS.items():
        measured = figures.get(split, {})
        rate = measured.get("eer")
        if rate is None:
            continue
        if "sensitivity" in measured and "specificity" in measured:
            missed, accused = (100 * (1 - measured[k]) for k in ("sensitivity", "specificity"))
            return (
                f"Made to choose, {name} called {accused:.0f} in 100 real voices fake and missed "
                f"{missed:.0f} in 100 fakes {where}."
            )
        interval = ""
        if measured.get("eer_ci"):
            low, high = (100 * float(end) for end in measured["eer_ci"])
            interval = f" (95 % interval: {low:.0f} to {high:.0f})"
        return f"{name} was wrong on {100 * rate:.0f} in 100 recordings{interval} {where}."
    return f"How often {name} is wrong has not been measured."


def meaning(kind: str, name: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """What a verdict of this kind stands on."""
    if kind == "inconclusive":
        weak = "Too weak to call: evidence of this strength comes from real and fake voices alike."
        return f"{weak} {error_rates(name, figures)}"
    if kind == "mixed":
        return f"{OF_THE_WHOLE} {error_rates(name, figures)}"
    return error_rates(name, figures)


def agreement(verdicts: Sequence[tuple[str, str]]) -> str:
    """Do the detectors agree? One sentence from (name, kind) pairs, the verdict's own first."""
    if len(verdicts) < 2:
        return ""
    kinds = {kind for _, kind in verdicts}
    if len(kinds) == 1:
        both = "Both" if len(verdicts) == 2 else f"All {_number(len(verdicts))}"
        return f"{both} detectors {_say(verdicts[0][1], plural=True)}."
    parts = []
    for kind in sorted(kinds, key=[kind for _, kind in verdicts].index):
        names = [name for name, said in verdicts if said == kind]
        parts.append(f"{_join(names)} {_say(kind, plural=len(names) > 1)}")
    if {"fake", "real"} <= kinds:
        return f"The detectors disagree: {', '.join(parts)}. Treat the verdict with care."
    return f"The detectors agree only in part: {', '.join(parts)}."


def _say(kind: str, *, plural: bool) -> str:
    if kind == "inconclusive":
        return "cannot tell"
    if kind == "mixed":
        return f"{'find' if plural else 'finds'} it mixed"
    return f"{'say' if plural else 'says'} {kind}"


def _number(n: int) -> str:
    return NUMBERS[n] if n < len(NUMBERS) else str(n)


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
