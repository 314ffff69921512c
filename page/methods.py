"""Methods of explanation as the page offers them: their names, and how often each is right."""

from __future__ import annotations

import math

from detectors import Detector
from explain import METHODS, Explanation
from explain.coalitions.pooling import passes_over
from explain.hit_rates import BAND, TIME, hit_rate, own_axis, was_measured

LIT = 0.80  # area under the ROC of edits from which on seconds are lit without being asked for
EDIT = {TIME: "a planted edit", BAND: "an exchanged band of 1 kHz"}


def named(method: str) -> str:
    """A method's title; what was measured and is no method goes by its own name."""
    return METHODS[method].title if method in METHODS else method


def question(method: str, part: str, name: str) -> str:
    """What the values of a method answer about a detector, as the beginning of a sentence."""
    return METHODS[method].question.format(part=part, detector=name)


def adds_up(explanation: Explanation, detector: Detector) -> list[str]:
    """What the values add up to, as a sentence; none where the method does not promise a sum."""
    if not math.isfinite(explanation.residual):
        return []
    # where a voice's features are passed over or become ordinary; bands of its sound become noise
    averaged = explanation.freqs is None and passes_over(detector)
    return [
        f"They add up to the step from {'an ordinary voice' if averaged else 'noise alone'} to "
        f"this answer, with a residual of {explanation.residual:.1g}."
    ]


def hit_sentence(detector: Detector, name: str, method: str, axis: str | None = None) -> str:
    """How often a method's strongest place lies in what was exchanged, for one detector.

    name: what the detector goes by. axis: the method's own (`own_axis`) by default.
    """
    rate = hit_rate(detector, method, axis)
    if rate is None or rate.pointing is None or rate.chance is None:
        if was_measured(detector, method):
            return (
                f"{named(method)}: too few planted edits turned {name}'s verdict to say how often "
                "the highest place finds them."
            )
        return f"{named(method)}: how often it finds edits for {name} is not measured yet."
    interval = ""
    if rate.pointing_interval:
        low, high = (10 * end for end in rate.pointing_interval)
        interval = f" (95 % interval: {low:.0f} to {high:.0f})"
    return (
        f"{named(method)}: the highest place finds {EDIT[axis or own_axis(method)]} "
        f"{10 * rate.pointing:.0f} times in 10{interval} for {name}; pointing blindly would find "
        f"it {_times(rate.chance)}. Measured on {rate.n} edits that {name} called fake."
    )


def _times(share: float) -> str:
    count = round(10 * share)
    return "once" if count == 1 else f"{count} times"
