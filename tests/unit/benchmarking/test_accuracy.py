"""Accuracy of predictions, compared with values counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.benchmarking.accuracy import comparison, confusion, evaluation, top5
from edgesqz.stats import mcnemar_p, share_interval


def probabilities(*top1: int, classes: int = 10) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[list(top1)]


def test_gained_and_lost_images_are_counted() -> None:
    labels = np.arange(8)
    ours, theirs = probabilities(0, 9, 9, 9, 4, 8, 9, 9), probabilities(0, 1, 2, 3, 9, 9, 9, 9)
    compared, evaluated = comparison(ours, theirs, labels), evaluation(ours, labels)
    assert (compared.gained, compared.lost, compared.accuracy_drop_pp) == (1, 3, 25.0)
    assert (compared.agreement, compared.mcnemar_p) == (0.375, mcnemar_p(1, 3))
    assert (evaluated.accuracy, evaluated.accuracy_interval) == (0.25, share_interval(2, 8))


def test_classes_are_counted_apart() -> None:
    evaluated = evaluation(probabilities(0, 1, 1, 1, classes=3), np.array([0, 0, 1, 1]))
    assert evaluated.class_accuracies == (0.5, 1.0, None)
    assert evaluated.confusion == ((1, 1, 0), (0, 2, 0), (0, 0, 0))


def test_predictions_are_counted_by_class() -> None:
    found = confusion(np.array([0, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 1]), 3)
    assert found == ((1, 1, 0), (0, 2, 1), (0, 0, 0))


@pytest.mark.parametrize(("classes", "expected"), [(5, None), (10, 0.75)])
def test_the_five_best_predictions_are_considered(classes: int, expected: float | None) -> None:
    probabilities = np.tile(np.arange(classes, dtype=np.float32), (4, 1))  # the last five are the best
    labels = np.array([classes - 1, classes - 5, classes - 3, 0])
    assert top5(probabilities, labels) == expected
