"""How good an explanation is: the scores of `evaluate`, each with its source.

The localisation AUC is `evaluation.metrics.auc` of the cells: 0.5 for a map without knowledge.

Everywhere `cells` is (n,), relevance over equal pieces of time or of frequency, positive = towards
fake, and `truth` is (n,) bool, True where the clip was changed; `chance` is what a map without any
knowledge gets. A truth that holds all cells, or none, raises ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from ..explanation import Explanation, rebin

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def has_axis(explanation: Explanation, axis: str) -> bool:
    """Do its values go by "time", or by "band"?"""
    edges = explanation.times if axis == "time" else explanation.freqs
    size = explanation.values.shape[-1 if axis == "time" else 0]
    return edges is not None and size == len(edges) - 1


def relevance(explanation: Explanation, axis: str, grid: ArrayLike) -> Floats | None:
    """An explanation's values by "time" or by "band" alone, in the cells of grid (n + 1,).

    None when it does not have that axis.
    """
    edges = explanation.times if axis == "time" else explanation.freqs
    values = explanation.values
    if edges is None or not has_axis(explanation, axis):
        return None
    if values.ndim == 2:
        values = values.sum(axis=0 if axis == "time" else 1)
    return rebin(values, edges, grid)


def relevance_mass(cells: ArrayLike, truth: ArrayLike) -> float:
    """RMA, the share of the positive relevance that lies in changed cells; 0 if none is positive.

    Source: Arras, Osman & Samek 2022, "CLEVR-XAI", eq. 1.
    """
    cells, truth = _checked(cells, truth)
    positive = np.maximum(cells, 0)
    return float(positive[truth].sum() / positive.sum()) if positive.any() else 0.0


def relevance_rank(cells: ArrayLike, truth: ArrayLike) -> float:
    """RRA, the share of the k most relevant cells that are changed, k = number of changed cells.

    Cells with the relevance of the k-th count in proportion, as a random order among them would
    on average. Source: Arras, Osman & Samek 2022, "CLEVR-XAI", eq. 3.
    """
    cells, truth = _checked(cells, truth)
    k = int(truth.sum())
    border = np.partition(cells, len(cells) - k)[len(cells) - k]
    above, tied = cells > border, cells == border
    share = (k - above.sum()) / tied.sum()
    return float((truth[above].sum() + share * truth[tied].sum()) / k)


def pointing(cells: ArrayLike, truth: ArrayLike) -> float:
    """Pointing game: 1 when the most relevant cell is a changed one; of equal ones, their share.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop", section 4.2.
    """
    cells, truth = _checked(cells, truth)
    return float(truth[cells == cells.max()].mean())


def chance(truth: ArrayLike) -> float:
    """What RMA, RRA and the pointing game give a map without knowledge: the share of changed cells.

    RMA is exactly this for a uniform map; the other two are on average over random orders.
    """
    return float(np.mean(np.asarray(truth, dtype=bool)))


def curve_area(outcomes: ArrayLike) -> float:
    """Mean height, by the trapezoidal rule, of a deletion or insertion curve (k,) of logits.

    The steps are equal shares of the clip from 0 to 1, so this is the area under the curve.
    Source: Petsiuk et al. 2018, "RISE", section 4.2.
    """
    outcomes = np.asarray(outcomes, dtype=np.float64)
    return float((outcomes[:-1] + outcomes[1:]).mean() / 2)


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rho of two maps of one shape, -1 to 1; NaN when one of them is constant.

    Source: Spearman 1904; over explanations of an untrained network, Adebayo et al. 2018.
    """
    first, second = np.ravel(first), np.ravel(second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def max_sensitivity(values: ArrayLike, perturbed: Sequence[ArrayLike]) -> float:
    """The largest change of a map under perturbations nobody hears, relative to its own norm.

    max |phi(x') - phi(x)| / |phi(x)|, L2; NaN for a map of zeros.
    Source: Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations", eq. 5.
    """
    values = np.asarray(values, dtype=np.float64)
    norm = float(np.linalg.norm(values))
    moved = max(float(np.linalg.norm(np.asarray(other) - values)) for other in perturbed)
    return moved / norm if norm > 0 else float("nan")


def _checked(cells: ArrayLike, truth: ArrayLike) -> tuple[Floats, Bools]:
    cells, truth = np.asarray(cells, dtype=np.float64), np.asarray(truth, dtype=bool)
    if cells.ndim != 1 or cells.shape != truth.shape:
        raise ValueError(f"Cells {cells.shape} and truth {truth.shape} differ in shape.")
    if not np.isfinite(cells).all():
        raise ValueError("Some relevance is not a finite number.")
    if truth.all() or not truth.any():
        raise ValueError("The truth must hold changed cells and others.")
    return cells, truth
