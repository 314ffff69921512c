"""Stretches of a recording that contradict the rest of it: a partial spoof, found over time.

Windows of one voice in one channel differ from each other by chance, so the strongest of them says
nothing. What counts is the evidence that a segment has another level than the rest, whatever the
level of the whole is, beyond what the strongest segment of a recording of this length gets by
chance.

Source: Olshen et al. 2004, "Circular binary segmentation"; the penalty, which is higher for short
segments because there are more of them: Walther 2010, "Optimal and fast detection of spatial
clusters with scan statistics".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .config import Calibration, Side, StretchRule

if TYPE_CHECKING:
    from .detector import Window

STEP = 1.25  # ratio of neighbouring lengths that are searched before borders are refined
SHORTEST = 3.0  # length, in windows that do not overlap, of a recording that is searched
NORMAL = 1.4826  # standard deviation over median absolute deviation, of a normal distribution
TRUST = 8.0  # windows that do not overlap, of a recording's own as good as dev's spread
MOST = 0.5  # share of a recording that can contradict the rest of it


@dataclass(frozen=True)
class Stretch:
    """A part that sounds otherwise than the rest, in seconds of the recording.

    llr: as if it were a recording by itself, natural log, positive = evidence for fake.
    """

    start_s: float
    end_s: float
    llr: float
    verdict: Side


def find_stretches(
    windows: Sequence[Window], calibration: Calibration, prior: float = 0.5
) -> tuple[Stretch, ...]:
    """The stretches that sound fake in a recording that sounds real, or the other way round.

    Args:
        windows: In order of time; those without speech do not count.
        calibration: Without a rule for stretches nothing is found.
        prior: Share of fakes among recordings like this one, 0..1, exclusive.

    Returns:
        In order of time. Each lies on the other side than the rest.
    """
    rule = calibration.stretches
    windows = [window for window in windows if window.speech_s > 0]
    if rule is None or len(windows) < 2:
        return ()
    llr = np.array([window.llr for window in windows])
    heard = _Heard.of(windows)
    segments, rest = split(llr, heard, rule)
    if not segments or not rest.any():
        return ()

    def weighed(these: slice | np.ndarray) -> float:
        return float(llr[these].mean()) * calibration.firmness(heard.seconds(these))

    sounds = calibration.side(weighed(rest), prior)
    found = []
    for first, last in segments:
        own = weighed(slice(first, last))
        if calibration.side(own, prior) != sounds:
            start_s, end_s = heard.borders(first, last)
            found.append(Stretch(start_s, end_s, own, calibration.side(own, prior)))
    return tuple(found)


@dataclass(frozen=True)
class _Heard:
    """Where n windows lie in what was heard: the recording without its silences.

    Attributes:
        starts_s: (n,) Seconds of what was heard. Windows follow each other by the hop at most,
            however long a silence was left out between them.
        window_s: Length of each.
        known: (2n, 2) what is known of times: seconds of what was heard and of the recording.
    """

    starts_s: np.ndarray
    window_s: float
    known: np.ndarray

    @staticmethod
    def of(windows: Sequence[Window]) -> _Heard:
        starts = np.array([window.start_s for window in windows])
        ends = np.array([window.end_s for window in windows])
        window_s, hops = float((ends - starts).min()), np.diff(starts)
        places = np.append(0, np.cumsum(np.minimum(hops, np.median(hops))))
        known = [*zip(places, starts, strict=True), *zip(places + window_s, ends, strict=True)]
        return _Heard(places, window_s, np.array(sorted(known)))

    @property
    def new(self) -> np.ndarray:
        """(n,) what each window does not share with the one before, 0..1; 1 of the first."""
        return np.append(1, np.minimum(np.diff(self.starts_s) / self.window_s, 1))

    def seconds(self, these: slice | np.ndarray) -> float:
        """How much is heard in some of the windows, each second once."""
        return float(self.new[these].sum()) * self.window_s

    def apart(self, first: int, last: int) -> np.ndarray:
        """(n,) which windows share nothing with the windows first..last - 1."""
        starts, tiny = self.starts_s, 1e-6
        before = starts + self.window_s <= starts[first] + tiny
        return before | (starts >= starts[last - 1] + self.window_s - tiny)

    def borders(self, first: int, last: int) -> tuple[float, float]:
        """Begin and end of a segment in seconds of the recording.

        A window is half synthetic when its centre lies on the border of what is, so the border
        lies between the centres of the last window outside and the first inside.
        """
        heard, recorded = self.known.T
        begin, end = float(recorded[0]), float(recorded[-1])
        centres = self.starts_s + self.window_s / 2
        if first > 0:
            at = (centres[first - 1] + centres[first]) / 2
            after = int(np.searchsorted(heard, at))
            begin = float(recorded[after] - (heard[after] - at))
        if last < len(centres):
            at = (centres[last - 1] + centres[last]) / 2
            before = int(np.searchsorted(heard, at, "right")) - 1
            end = float(recorded[before] + (at - heard[before]))
        return begin, end


def split(
    llr: np.ndarray, heard: _Heard, rule: StretchRule
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Segments whose evidence exceeds the penalty, and which windows (n,) are of the rest.

    The strongest one is taken out with the windows that overlap it, until there is none or too
    little is left. A segment (first, last) holds the windows first..last - 1.
    """
    new, spread = heard.new, _spread(llr, heard, rule)
    rest = np.ones(len(llr), dtype=bool)
    segments: list[tuple[int, int]] = []
    while new[rest].sum() >= max(SHORTEST, MOST * new.sum()):
        found = _strongest(llr, new, rest, spread, rule.penalty)
        if found is None:
            break
        segments.append(found)
        rest &= heard.apart(*found)
    return sorted(segments), rest


def _strongest(
    llr: np.ndarray, new: np.ndarray, rest: np.ndarray, spread: float, penalty: float
) -> tuple[int, int] | None:
    """The segment of the rest with the highest evidence; None where none exceeds the penalty.

    Evidence is the log-likelihood ratio for another mean than that of the rest, both unknown, in
    nats: difference^2 / (2 spread^2 (1 / inside + 1 / outside)), where windows that overlap count
    by what is new in them.
    """
    at = np.flatnonzero(rest)
    run = np.cumsum(np.diff(at, prepend=at[0]) > 1)  # what was taken out parts what is left
    sums, news = (np.append(0, np.cumsum(x[at])) for x in (llr, new))
    n, total = len(at), news[-1]

    def excess(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        inside = 1 + news[last] - news[first + 1]
        outside = total - inside
        within = sums[last] - sums[first]
        difference = within / (last - first) - (sums[-1] - within) / (n - last + first)
        evidence = difference**2 * inside * outside / total / (2 * spread**2)
        allowed = (run[first] == run[last - 1]) & (inside <= MOST * total)
        return np.where(allowed, evidence - np.log(total / inside) - penalty, -np.inf)

    def best(first: np.ndarray, last: np.ndarray) -> tuple[float, int, int]:
        values = excess(first, last)
        i = int(values.argmax())
        return float(values[i]), int(first[i]), int(last[i])

    lengths = np.unique(np.geomspace(1, n - 1, 2 + int(np.log(n) / np.log(STEP))).astype(int))
    coarse = [best(np.arange(n - k + 1), np.arange(k, n + 1)) for k in lengths.tolist()]
    _, first, last = max(coarse)
    reach = np.arange(-(last - first) // 4 - 1, (last - first) // 4 + 2)
    starts, ends = (x.ravel() for x in np.meshgrid(first + reach, last + reach))
    good = (starts >= 0) & (ends <= n) & (ends > starts) & (ends - starts < n)
    value, first, last = best(starts[good], ends[good])
    return (int(at[first]), int(at[last - 1]) + 1) if value > 0 else None


def _spread(llr: np.ndarray, heard: _Heard, rule: StretchRule) -> float:
    """Standard deviation of the LLRs: dev's, and more and more the recording's own.

    Its own is the median difference of windows that follow each other without overlap, which a few
    stretches change little.
    """
    after = np.searchsorted(heard.starts_s, heard.starts_s + heard.window_s - 1e-6)
    first = np.flatnonzero(after < len(llr))
    if len(first) == 0:
        return rule.spread
    own = NORMAL * float(np.median(np.abs(llr[after[first]] - llr[first]))) / 2**0.5
    n = float(heard.new.sum())
    return float(np.sqrt((TRUST * rule.spread**2 + n * own**2) / (TRUST + n)))


def in_words(stretches: Sequence[Stretch]) -> str:
    """ "most of it sounds real, 0:42 to 0:51 sounds fake"; of one stretch or more."""
    kind = stretches[0].verdict
    spans = [f"{clock(s.start_s)} to {clock(s.end_s)}" for s in stretches]
    listed = " and ".join([", ".join(spans[:-1]), spans[-1]] if spans[1:] else spans)
    rest = "real" if kind == "fake" else "fake"
    return f"most of it sounds {rest}, {listed} {'sound' if spans[1:] else 'sounds'} {kind}"


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, "0:42"; with hours from the first on, "1:02:03"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
