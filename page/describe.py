"""What the page says about an explanation: what its values are, and how often they are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detectors import Detector
from explain import METHODS, Explanation
from explain.coalitions.pooling import passes_over
from explain.explanation import in_llr
from explain.hit_rates import BAND, TIME, beats_baselines, hit_rate, own_axis, was_measured

from .report import ExplanationView

SPLICE = {TIME: "a planted edit", BAND: "an exchanged band of 1 kHz"}


def by_time(made: Explanation, detector: Detector, name: str) -> ExplanationView:
    """What is shown unasked of which seconds decided. name: what the detector goes by."""
    drawn = in_llr(made, detector)
    notes = [how(drawn, detector), *adds_up(drawn, detector)]
    return _view(made, drawn, detector, name, "segment", TIME, notes)


def by_frequency(
    made: Explanation, detector: Detector, name: str, span: tuple[float, float]
) -> ExplanationView:
    """What is shown unasked of which frequencies decided, or which features of the voice.

    Values by band alone become a map of one column, `span` wide: the window that was explained.
    """
    drawn = in_llr(made, detector)
    part = "feature of the voice" if made.freqs is None else "band"
    if made.times is None:
        notes = [how(drawn, detector), *adds_up(drawn, detector)]
    else:
        notes = [f"{METHODS[made.method].title}: a map of where to listen, not a proof."]
    if made.times is None and made.freqs is not None:
        notes += made.notes
        drawn = replace(drawn, values=drawn.values[:, None], times=np.array(span))
    return _view(made, drawn, detector, name, part, BAND, notes)


def on_demand(made: Explanation, detector: Detector, name: str) -> ExplanationView:
    """What is shown of a method that somebody chose, with what it cost."""
    drawn = in_llr(made, detector)
    notes = adds_up(drawn, detector)
    if drawn.stderr is not None:
        notes.append(f"Standard errors are up to {np.max(drawn.stderr):.2g}.")
    both = made.times is not None and made.freqs is not None
    if both and not beats_baselines(detector, made.method, BAND):
        notes.append("By frequency it finds exchanged bands no better than loudness alone does.")
    notes += [*made.notes, f"{made.forwards} passes, {made.seconds:.1f} s."]
    return _view(made, drawn, detector, name, "part", own_axis(made.method), notes)


def _view(
    made: Explanation,
    drawn: Explanation,
    detector: Detector,
    name: str,
    part: str,
    axis: str,
    notes: Sequence[str],
) -> ExplanationView:
    return ExplanationView(
        detector=name,
        method=made.method,
        made=made,
        drawn=drawn,
        question=METHODS[made.method].question.format(part=part, detector=name),
        hit_rate=hit_sentence(detector, name, made.method, axis),
        notes=" ".join(notes),
    )


def how(explanation: Explanation, detector: Detector) -> str:
    """What the values are, by their method."""
    gone = "passed over" if passes_over(detector) else "replaced by background noise"
    return METHODS[explanation.method].how.format(count=len(explanation.values), gone=gone)


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
    rate, title = hit_rate(detector, method, axis), METHODS[method].title
    if rate is None or rate.pointing is None or rate.chance is None:
        if was_measured(detector, method):
            return (
                f"{title}: too few planted edits turned {name}'s verdict to say how often the "
                "highest place finds them."
            )
        return f"{title}: how often it finds edits for {name} is not measured yet."
    interval = ""
    if rate.pointing_interval:
        low, high = (10 * end for end in rate.pointing_interval)
        interval = f" (95 % interval: {low:.0f} to {high:.0f})"
    return (
        f"{title}: the highest place finds {SPLICE[axis or own_axis(method)]} "
        f"{10 * rate.pointing:.0f} times in 10{interval} for {name}; pointing blindly would find "
        f"it {_times(rate.chance)}. Measured on {rate.n} edits that {name} called fake."
    )


def _times(share: float) -> str:
    count = round(10 * share)
    return "once" if count == 1 else f"{count} times"
