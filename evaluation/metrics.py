"""How good scores are: error rates, costs and calibration.

Everywhere `scores` is (n,) with higher = more likely spoof, `llr` is the same in natural-log
likelihood ratios, and `labels` is (n,) with 1 = spoof and 0 = bona fide. A clip is called spoof
when its score is above the threshold. Rates are fractions. Scores that are not finite, or labels
that do not hold both classes, raise ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import xlogy
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Metric = Callable[[Floats, NDArray[np.int64]], float]

# ASVspoof 5, track 1
P_SPOOF, C_MISS, C_FALSE_ALARM = 0.05, 1.0, 10.0


@dataclass(frozen=True)
class Hull:
    """The convex hull of the ROC: b blocks of scores that no monotone map can order better."""

    spoof: Floats  # (b,) spoofs in each block, scores ascending
    bonafide: Floats  # (b,)

    @property
    def false_alarm(self) -> Floats:
        """(b + 1,) share of bona fide clips above each border between blocks, 1 to 0."""
        return 1 - np.append(0, np.cumsum(self.bonafide) / self.bonafide.sum())

    @property
    def miss(self) -> Floats:
        """(b + 1,) share of spoofs below each border, 0 to 1."""
        return np.append(0, np.cumsum(self.spoof) / self.spoof.sum())


def roc_hull(scores: ArrayLike, labels: ArrayLike) -> Hull:
    """The ROC convex hull, from pool-adjacent-violators.

    Source: Fawcett & Niculescu-Mizil 2007, "PAV and the ROC convex hull".
    """
    scores, labels = _checked(scores, labels)
    _, place = np.unique(scores, return_inverse=True)  # equal scores are one point of the ROC
    count = np.bincount(place).astype(np.float64)
    spoof = np.bincount(place, weights=labels)
    starts = isotonic_regression(spoof / count, weights=count).blocks[:-1].astype(int)
    merged = np.stack([np.add.reduceat(x, starts) for x in (spoof, count - spoof)])
    return Hull(merged[0], merged[1])


def eer(scores: ArrayLike, labels: ArrayLike) -> float:
    """Equal error rate: the mean of miss and false alarm rate where they are closest.

    Source: the ASVspoof challenges' evaluation packages (compute_eer), whose ROC has a step a
    score. Equal scores are one step here, whatever their order in the file. Of two thresholds that
    are equally close the one with fewer errors counts.
    """
    _, miss, false_alarm = _steps(scores, labels)
    miss, false_alarm = np.append(0.0, miss), np.append(1.0, false_alarm)
    both = (miss + false_alarm) / 2
    gap = np.abs(miss - false_alarm)
    return float(both[np.isclose(gap, gap.min(), rtol=0, atol=1e-12)].min())


def eer_hull(scores: ArrayLike, labels: ArrayLike) -> float:
    """Equal error rate where the ROC convex hull crosses miss = false alarm, at most 0.5.

    Source: Brümmer & de Villiers 2011, "The BOSARIS toolkit" (ROCCH-EER). A little below `eer`,
    and steadier on few clips, of which even noise stays visibly under 0.5.
    """
    hull = roc_hull(scores, labels)
    gap = hull.miss - hull.false_alarm  # ascends from -1 to 1
    after = int(np.searchsorted(gap, 0))
    share = gap[after] / (gap[after] - gap[after - 1])
    return float(hull.miss[after] - share * (hull.miss[after] - hull.miss[after - 1]))


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC: how often a spoof outscores a bona fide clip, ties counting half.

    Source: Hanley & McNeil 1982, by the rank sum of Mann & Whitney 1947.
    """
    scores, labels = _checked(scores, labels)
    spoofs = int(labels.sum())
    wins = rankdata(scores)[labels == 1].sum() - spoofs * (spoofs + 1) / 2
    return float(wins / (spoofs * (len(labels) - spoofs)))


def cllr(llr: ArrayLike, labels: ArrayLike) -> float:
    """Cost of the LLRs in bits: 0 is perfect, 1 is what LLR = 0 for every clip costs.

    Source: Brümmer & du Preez 2006, "Application-independent evaluation of speaker detection".
    """
    llr, labels = _checked(llr, labels)
    spoof = np.logaddexp(0, -llr[labels == 1]).mean()
    bonafide = np.logaddexp(0, llr[labels == 0]).mean()
    return float((spoof + bonafide) / 2 / np.log(2))


def min_cllr(scores: ArrayLike, labels: ArrayLike) -> float:
    """The Cllr that is left after the best monotone recalibration (PAV).

    Source: Brümmer & du Preez 2006.
    """
    hull = roc_hull(scores, labels)
    spoof = hull.spoof / hull.spoof.sum()  # at even priors a block's posterior odds are
    bonafide = hull.bonafide / hull.bonafide.sum()  # spoof : bonafide
    both = spoof + bonafide
    cost = xlogy(spoof, both) - xlogy(spoof, spoof) + xlogy(bonafide, both)
    return float((cost - xlogy(bonafide, bonafide)).sum() / 2 / np.log(2))


def min_dcf(scores: ArrayLike, labels: ArrayLike) -> float:
    """Normalised detection cost at the best threshold for these clips.

    Source: ASVspoof 5 evaluation plan, equations 1 and 2: Cmiss (1 - Pspoof) Pmiss + Cfa Pspoof
    Pfa over the cost of the better blind decision, where, unlike elsewhere in this file, a miss
    is a bona fide clip rejected and a false alarm a spoof accepted.
    """
    hull = roc_hull(scores, labels)  # a linear cost has its minimum at a corner of the hull
    return float(_dcf(hull.false_alarm, hull.miss).min())


def act_dcf(llr: ArrayLike, labels: ArrayLike) -> float:
    """Normalised detection cost at the Bayes threshold, so that miscalibration is paid for.

    Source: ASVspoof 5 evaluation plan, equation 3: with b = Cmiss (1 - Pspoof) / (Cfa Pspoof), a
    clip is rejected when its LLR for bona fide is below -log b, that is, ours is above log b.
    """
    llr, labels = _checked(llr, labels)
    spoof = llr > np.log(C_MISS * (1 - P_SPOOF) / (C_FALSE_ALARM * P_SPOOF))
    return float(_dcf(spoof[labels == 0].mean(), 1 - spoof[labels == 1].mean()))


def _dcf(rejected: ArrayLike, accepted: ArrayLike) -> Floats:
    """From the shares of bona fide clips rejected and of spoofs accepted."""
    miss, false_alarm = C_MISS * (1 - P_SPOOF), C_FALSE_ALARM * P_SPOOF
    cost = miss * np.asarray(rejected) + false_alarm * np.asarray(accepted)
    return cost / min(miss, false_alarm)


def at_threshold(scores: ArrayLike, labels: ArrayLike, threshold: float) -> dict:
    """What the decisions at one threshold are worth; spoof is the positive class.

    {hter, accuracy, sensitivity, specificity, ppv, npv, confusion: {tp, fn, fp, tn}}; ppv or npv
    is None when nothing was called spoof or bona fide. HTER is the mean of both error rates
    (Bengio & Mariéthoz 2004); the others are as in Altman & Bland 1994, and accuracy, ppv and npv
    hold for this mix of labels only.
    """
    scores, labels = _checked(scores, labels)
    called, spoof = scores > threshold, labels == 1
    tp, fn = int((called & spoof).sum()), int((~called & spoof).sum())
    fp, tn = int((called & ~spoof).sum()), int((~called & ~spoof).sum())
    return {
        "hter": (fn / (tp + fn) + fp / (fp + tn)) / 2,
        "accuracy": (tp + tn) / len(labels),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (fp + tn),
        "ppv": tp / (tp + fp) if tp + fp else None,
        "npv": tn / (tn + fn) if tn + fn else None,
        "confusion": {"tp": tp, "fn": fn, "fp": fp, "tn": tn},
    }


def fit_calibration(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """(scale, offset) such that scale * score + offset is an LLR; scale is positive.

    Logistic regression in which each class weighs half, so that the log odds are the LLR
    (Brümmer & du Preez 2006), on the targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2), so that
    classes which scores separate do not drive the scale to infinity (Platt 1999, section 2.2).
    Scores that rank the classes backwards get a scale near zero: they are not turned round.
    """
    scores, labels = _checked(scores, labels)
    centre, spread = scores.mean(), scores.std() or 1.0
    z = (scores - centre) / spread
    spoofs = labels.sum()
    n = np.where(labels == 1, spoofs, len(labels) - spoofs)
    target = np.where(labels == 1, n + 1, 1) / (n + 2)
    weight = 0.5 / n

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, shift = parameters
        llr = slope * z + shift
        error = weight * (1 / (1 + np.exp(-llr)) - target)
        value = (weight * (np.logaddexp(0, llr) - target * llr)).sum()
        return float(value), np.array([(error * z).sum(), error.sum()])

    fit = minimize(
        loss,
        [1.0, 0.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(1e-3, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    slope, shift = fit.x
    return float(slope / spread), float(shift - slope * centre / spread)


def eer_threshold(llr: ArrayLike, labels: ArrayLike) -> float:
    """The threshold at which miss and false alarm rate are closest: halfway between two scores.

    Of several such places it is the middle one, which is the steadiest on few clips.
    """
    values, miss, false_alarm = _steps(llr, labels)
    gap = np.abs(miss - false_alarm)
    best = np.flatnonzero(np.isclose(gap, gap.min()))
    i = int(best[len(best) // 2])
    return float(values[i] + values[i + 1]) / 2 if i + 1 < len(values) else float(values[i])


def abstention_band(llr: ArrayLike, labels: ArrayLike, error: float = 0.10) -> tuple[float, float]:
    """The LLRs (low, high) round the EER threshold in which a verdict would be too often wrong.

    The rule: `high` is the lowest LLR above which the verdict "fake" is wrong in at most `error`
    of the cases, and `low` the highest below which "real" is, counted on these clips as if both
    classes were equally frequent. Neither goes beyond the LLR at which a calibrated detector is
    that sure of one clip, +-log((1 - error) / error) or +-2.2, so that a handful of outliers
    cannot make everything inconclusive. A detector that is good enough at its threshold
    gets an empty band, low = high = threshold.
    """
    threshold = eer_threshold(llr, labels)
    values, miss, false_alarm = _steps(llr, labels)
    limit = float(np.log((1 - error) / error))
    hit, right = 1 - miss, 1 - false_alarm
    fake_holds = (hit > 0) & (false_alarm * (1 - error) <= error * hit)
    real_holds = (right > 0) & (miss * (1 - error) <= error * right)
    at = np.searchsorted(values, threshold, side="right") - 1  # the step the threshold is on
    high = values[at:][fake_holds[at:]].min(initial=limit)
    low = np.append(values[1:], np.inf)[: at + 1][real_holds[: at + 1]].max(initial=-limit)
    return float(min(threshold, low)), float(max(threshold, high))


def _steps(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Distinct scores ascending, and the miss and false alarm rates with each as threshold."""
    scores, labels = _checked(scores, labels)
    values, place = np.unique(scores, return_inverse=True)
    spoof = np.bincount(place, weights=labels)
    bonafide = np.bincount(place, weights=1 - labels)
    return values, np.cumsum(spoof) / spoof.sum(), 1 - np.cumsum(bonafide) / bonafide.sum()


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"Scores {scores.shape} and labels {labels.shape} must be equally long.")
    if not np.isfinite(scores).all():
        raise ValueError("Some scores are not finite numbers.")
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError("Labels must hold both 1 (spoof) and 0 (bona fide), and nothing else.")
    return scores, labels
