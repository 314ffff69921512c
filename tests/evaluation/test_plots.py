"""Plots: the figures state the numbers that the metrics give."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation import metrics, plots

LLR = np.array([-2.0, -1.0, 0.5, 1.5, -0.5, 1.0, 2.0, 3.0])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def texts(figure) -> str:
    (axes,) = figure.axes
    legend = axes.get_legend()
    words = [text.get_text() for text in axes.texts]
    return " ".join(words + [text.get_text() for text in legend.get_texts()] if legend else words)


def test_det_and_roc_state_eer_and_auc():
    assert f"EER {metrics.eer(LLR, LABELS):.1%}" in texts(plots.det_figure(LLR, LABELS))
    assert f"AUC {metrics.auc(LLR, LABELS):.3f}" in texts(plots.roc_figure(LLR, LABELS))


def test_the_eer_lies_on_the_diagonal_of_the_det_plot():
    (axes,) = plots.det_figure(LLR, LABELS).axes
    (x,), (y,) = axes.lines[1].get_data()
    assert x == y


def test_perfect_scores_can_be_drawn():
    for figure in (plots.det_figure(LABELS - 0.5, LABELS), plots.roc_figure(LABELS - 0.5, LABELS)):
        for line in figure.axes[0].lines:
            assert np.isfinite(np.asarray(line.get_data(), dtype=float)).all()


def test_the_confusion_matrix_counts_at_the_threshold():
    said = texts(plots.confusion_figure(LLR, LABELS, 0.75))
    assert said.split() == ["3", "75.0%", "1", "25.0%", "1", "25.0%", "3", "75.0%"]


def test_each_class_of_the_histogram_adds_up_to_one():
    (axes,) = plots.score_figure(LLR, LABELS, 0.75).axes
    for bars in axes.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
