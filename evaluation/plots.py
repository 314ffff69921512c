"""Figures of a set of scores: DET, ROC, confusion matrix and score histogram.

Everywhere `llr` is (n,) with higher = more likely spoof and `labels` is (n,) with 1 = spoof.
Figures are made without pyplot, so that nothing is kept or shown.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import det_curve, roc_curve

from . import metrics

SPOOF, BONAFIDE = "#c2410c", "#1d4ed8"
DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def det_figure(llr: ArrayLike, labels: ArrayLike) -> Figure:
    """Miss against false alarm on normal-deviate axes, where Gaussian scores make a line.

    Source: Martin et al. 1997, "The DET curve in assessment of detection task performance".
    """
    figure, axes = _axes("bona fide called fake", "fakes missed")
    false_alarm, miss, _ = det_curve(labels, llr)
    axes.plot(_deviate(false_alarm), _deviate(miss), color=SPOOF)
    rate = metrics.eer(llr, labels)
    here = _deviate(np.clip(rate, DET_TICKS[0], DET_TICKS[-1]))
    axes.plot(here, here, "o", color="black", label=f"EER {rate:.1%}")
    axes.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    places, names = (
        _deviate(np.array(DET_TICKS)),
        [f"{tick:.1%}".replace(".0%", "%") for tick in DET_TICKS],
    )
    axes.set(xlim=(places[0], places[-1]), ylim=(places[0], places[-1]), aspect="equal")
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    axes.legend(loc="upper right")
    return figure


def roc_figure(llr: ArrayLike, labels: ArrayLike) -> Figure:
    """Share of fakes found against share of bona fide clips called fake."""
    figure, axes = _axes("bona fide called fake", "fakes found")
    false_alarm, found, _ = roc_curve(labels, llr)
    axes.plot(false_alarm, found, color=SPOOF, label=f"AUC {metrics.auc(llr, labels):.3f}")
    axes.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right")
    return figure


def confusion_figure(llr: ArrayLike, labels: ArrayLike, threshold: float) -> Figure:
    """What was called what at one LLR threshold: counts, and shares of each row."""
    count = metrics.at_threshold(llr, labels, threshold)["confusion"]
    counts = np.array([[count["tn"], count["fp"]], [count["fn"], count["tp"]]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure, axes = _axes(f"called (LLR threshold {threshold:.2f})", "truth")
    axes.grid(False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(2, 2):
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{shares[row, column]:.1%}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
        )
    axes.set_xticks([0, 1], ["bona fide", "fake"])
    axes.set_yticks([0, 1], ["bona fide", "fake"])
    return figure


def score_figure(llr: ArrayLike, labels: ArrayLike, threshold: float) -> Figure:
    """Histograms of both classes' LLRs, and the threshold between them."""
    llr, labels = np.asarray(llr), np.asarray(labels, dtype=bool)
    figure, axes = _axes("LLR", "share of the class")
    edges = np.histogram_bin_edges(llr, bins=30).tolist()
    for name, chosen, colour in (("bona fide", ~labels, BONAFIDE), ("fake", labels, SPOOF)):
        weights = np.full(chosen.sum(), 1 / chosen.sum())
        axes.hist(llr[chosen], edges, weights=weights, color=colour, alpha=0.55, label=name)
    axes.axvline(threshold, color="black", linewidth=1, label=f"threshold {threshold:.2f}")
    axes.legend()
    return figure


def _deviate(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates on the normal-deviate axis; 0 and 1 lie outside the frame instead of at infinity."""
    return norm.ppf(np.clip(rate, 1e-9, 1 - 1e-9))


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlabel=x, ylabel=y)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes
