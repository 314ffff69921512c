"""Verdicts in words: what log-likelihood ratios mean to somebody who never heard the term."""

from __future__ import annotations

import math
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
IN_A_SENTENCE = {"fake": "likely fake", "real": "likely real", "inconclusive": "inconclusive"}
FEWEST_CLIPS = 10  # with a verdict, for a share of them
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
        return "if half of such recordings are fake"
    return f"if {100 * prior:.0f} in 100 recordings like this one are fake"


def error_rates(name: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """How often a detector is wrong at its best line, as it was measured: figures by split."""
    for split, where in SPLITS.items():
        measured = figures.get(split, {})
        rate = measured.get("eer")
        if rate is None:
            continue
        interval = ""
        if measured.get("eer_ci"):
            low, high = (100 * float(end) for end in measured["eer_ci"])
            interval = f" (95 % interval: {low:.0f} to {high:.0f})"
        return f"{name} was wrong on {100 * rate:.0f} in 100 recordings{interval} {where}."
    return f"How often {name} is wrong has not been measured."


def share_of_fakes(
    counts: Mapping[str, Mapping[str, int]], kind: str, prior: float = 0.5
) -> tuple[float, float, float] | None:
    """Of recordings with a verdict, the share that is fake, and its 95 % interval.

    Clips count as independent, which those of one speaker are not quite. None where hardly any clip
    got this verdict.

    Args:
        counts: Clips by label ("spoof", "bonafide") and verdict.
        kind: The verdict.
        prior: Share of fakes among all recordings, 0..1, exclusive.

    Source: Katz et al. 1978, "Obtaining confidence intervals for the risk ratio in cohort studies".
    """
    log_odds, variance = math.log(prior / (1 - prior)), 0.0
    for label, sign in (("spoof", 1), ("bonafide", -1)):
        own = counts.get(label, {})
        called, clips = own.get(kind, 0) + 0.5, sum(own.values()) + 0.5
        log_odds += sign * math.log(called / clips)
        variance += 1 / called - 1 / clips
    if sum(own.get(kind, 0) for own in counts.values()) < FEWEST_CLIPS:
        return None
    reach = 1.96 * math.sqrt(variance)
    share, low, high = (1 / (1 + math.exp(-log_odds + by)) for by in (0.0, reach, -reach))
    return share, low, high


def meaning(
    kind: str,
    name: str,
    figures: Mapping[str, Mapping[str, Any]],
    prior: float = 0.5,
    by_sound: str | None = None,
) -> str:
    """What a verdict of this kind stands on.

    by_sound: the verdict at even odds, at which verdicts were counted; the same if None.
    """
    if kind == "mixed":
        return OF_THE_WHOLE
    if by_sound not in (None, kind):
        return (
            f"By its sound alone it is {IN_A_SENTENCE[str(by_sound)]}; what you expect makes it "
            f"{IN_A_SENTENCE[kind]}. How often {name} is right in that was not counted."
        )
    weak = "Too weak to call. " if kind == "inconclusive" else ""
    split = next((s for s in SPLITS if "verdicts" in figures.get(s, {})), None)
    found = share_of_fakes(figures[split]["verdicts"], kind, prior) if split else None
    if split is None or found is None:
        return weak + error_rates(name, figures)
    share, low, high = (min(max(round(100 * p), 1), 99) for p in found)
    which, where = "with this answer", ""
    if prior != 0.5:
        which = f"that are {IN_A_SENTENCE[kind]} by their sound alone"
        where = f" where {100 * prior:.0f} in 100 of all are"
    return (
        f"{weak}Of 100 recordings {which}, about {share} are fake{where} (95 % interval: {low} to "
        f"{high}), as counted for {name} on short clips {SPLITS[split]}."
    )


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
