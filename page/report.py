"""What the page shows of one recording: plain values, with no detector or network among them.

A Report outlives the detectors that it is about: a version that has been replaced in the registry
must not be kept in memory by somebody's open page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from detectors import Waveform
from detectors.assessment import Assessment, DetectorResult
from explain import Explanation


@dataclass(frozen=True)
class ExplanationView:
    """An explanation of one detector's score, with all that is said of it.

    Attributes:
        detector: The detector's name.
        method: The method's name.
        made: As the method made it, in logit units.
        drawn: The same in units of the LLR, which is what the page shows.
        question: What the values answer, as the beginning of a sentence.
        hit_rate: How often this method was right about this detector, in a sentence.
        notes: What the values are and how far they can be off, in sentences.
    """

    detector: str
    method: str
    made: Explanation
    drawn: Explanation
    question: str
    hit_rate: str
    notes: str


@dataclass(frozen=True)
class MethodChoice:
    """The methods on offer for a detector, as (title, name), and the one that is suggested."""

    methods: tuple[tuple[str, str], ...]
    suggested: str | None


@dataclass(frozen=True)
class Report:
    """What is known about a recording so far.

    Attributes:
        step: What happens next, in words; "" when all is done.
        share: 0..1 of the way.
        wave: The recording; None until it is read, and where the report is only kept.
        assessment: What the detectors say, the one that gives the verdict first.
        waiting: Names of the detectors that have not scored yet.
        aliases: Of the registered versions, by detector.
        explained: The detector that `seconds` and `bands` explain.
        span: Seconds of its window that speaks most for fake, which is explained.
        seconds: Which seconds decided.
        bands: Which frequencies decided, or which features of the voice.
        no_seconds: Why `seconds` is missing, where it is not on its way.
        no_bands: The same of `bands`.
        choices: Methods on offer by detector.
        notices: What went wrong on the way, in sentences.
    """

    step: str = "Reading the recording"
    share: float = 0.0
    wave: Waveform | None = None
    assessment: Assessment = field(default_factory=Assessment)
    waiting: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    explained: str = ""
    span: tuple[float, float] = (0.0, 0.0)
    seconds: ExplanationView | None = None
    bands: ExplanationView | None = None
    no_seconds: str = ""
    no_bands: str = ""
    choices: Mapping[str, MethodChoice] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[DetectorResult, ...]:
        """Of the detectors that have scored, the one that gives the verdict first."""
        return self.assessment.models

    @property
    def names(self) -> tuple[str, ...]:
        """Of the detectors that have scored."""
        return tuple(result.name for result in self.results)

    def at(self, prior: float) -> Report:
        """The same evidence under another prior (0..1, exclusive)."""
        return replace(self, assessment=self.assessment.at(prior))


EMPTY = Report(step="")
