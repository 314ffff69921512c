"""95 % intervals: the bootstrap, drawing whole clusters, of whatever is measured.

Clips of one speaker, or splices of one clip, are not independent. Sources: Efron & Tibshirani 1993,
"An introduction to the bootstrap", section 13.3 (percentile interval); Davison & Hinkley 1997,
"Bootstrap methods and their application", sections 3.2 and 3.8 (strata and clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.tables import Row

from .metrics import Metric, eer

FEWEST_SPEAKERS = 5  # of a label, for an interval
ROUNDS = 1000


def resample(
    clusters: Sequence[str], labels: ArrayLike | None = None, rounds: int = ROUNDS, seed: int = 0
) -> NDArray[np.int64]:
    """How often each of n values counts in each round, (rounds, n), when clusters are drawn again.

    Args:
        clusters: (n,) the cluster of each value; they are drawn whole and with replacement.
        labels: (n,) 0 or 1. Clusters with zeros, with ones and with both are drawn each among
            themselves, so that every round has both labels.
    """
    names, own = np.unique(np.asarray(clusters), return_inverse=True)
    kind = np.zeros(len(names), dtype=np.int64)
    if labels is not None:
        ones = np.bincount(own, np.asarray(labels))
        kind = np.where(ones == 0, 0, np.where(ones == np.bincount(own), 3, 2))
    strata = [np.flatnonzero(kind == one) for one in np.unique(kind)]
    rng = np.random.default_rng(seed)
    drawn = [np.concatenate([rng.choice(one, len(one)) for one in strata]) for _ in range(rounds)]
    return np.stack([np.bincount(these, minlength=len(names)) for these in drawn])[:, own]


def percentiles(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """What holds the middle 95 % of (rounds, ...) values: (2, ...)."""
    return np.quantile(values, [0.025, 0.975], axis=0)


def bootstrap(
    metric: Metric,
    scores: ArrayLike,
    labels: ArrayLike,
    clusters: Sequence[str],
    rounds: int = ROUNDS,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of metric(scores, labels) of (n,) clips when whole clusters, speakers, are drawn."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    times = resample(clusters, labels, rounds, seed)
    low, high = percentiles([metric(np.repeat(scores, k), np.repeat(labels, k)) for k in times])
    return float(low), float(high)


def eer_interval(
    scores: ArrayLike, labels: ArrayLike, speakers: Sequence[str], seed: int = 0
) -> list[float] | None:
    """Interval of the EER, [low, high]; None with under FEWEST_SPEAKERS of a label."""
    labels = np.asarray(labels)
    if min(len(set(np.array(speakers)[labels == x])) for x in (0, 1)) < FEWEST_SPEAKERS:
        return None
    return list(bootstrap(eer, scores, labels, speakers, seed=seed))


def mean(
    values: Sequence[float | None] | NDArray[Any],
    clusters: Sequence[str] | None = None,
    **names: str,
) -> Row:
    """A flat row: the mean of what is there, with its interval, under these names.

    clusters: the clip that each value comes from; without it every value is one of its own. The
    interval is None for fewer than two clusters.
    """
    known = [i for i, value in enumerate(values) if value is not None]
    there = np.array([values[i] for i in known], dtype=np.float64)
    own = [clusters[i] if clusters else str(i) for i in known]
    low, high = None, None
    if len(set(own)) > 1:
        times = resample(own)
        low, high = percentiles(times @ there / times.sum(axis=1)).tolist()
    value = float(there.mean()) if known else None
    return {**names, "value": value, "low": low, "high": high, "n": len(known)}
