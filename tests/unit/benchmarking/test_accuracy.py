"""Grades of answers, beside figures counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.benchmarking.accuracy import confusion, graded, top5
from edgesqz.stats import mcnemar_p, share_interval


def answers(*top1: int, classes: int = 10) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[list(top1)]


def test_what_was_gained_and_lost_is_counted() -> None:
    labels = np.arange(8)
    figures = graded(answers(0, 9, 9, 9, 4, 8, 9, 9), labels, answers(0, 1, 2, 3, 9, 9, 9, 9))
    assert (figures["accuracy"], figures["gained"], figures["lost"], figures["accuracy_drop_pp"]) == (0.25, 1, 3, 25.0)
    assert (figures["agreement"], figures["mcnemar_p"]) == (0.375, mcnemar_p(1, 3))
    assert figures["accuracy_interval"] == share_interval(2, 8)


def test_without_an_source_model_nothing_is_compared() -> None:
    assert not {"agreement", "accuracy_drop_pp", "gained", "lost", "mcnemar_p"} & set(
        graded(answers(1), np.ones(1, int), None)
    )


def test_classes_are_counted_apart() -> None:
    figures = graded(answers(0, 1, 1, 1, classes=3), np.array([0, 0, 1, 1]), None)
    assert figures["class_accuracies"] == (0.5, 1.0, None)
    assert figures["confusion"] == ((1, 1, 0), (0, 2, 0), (0, 0, 0))


def test_answers_are_counted_by_class() -> None:
    found = confusion(np.array([0, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 1]), 3)
    assert found == ((1, 1, 0), (0, 2, 1), (0, 0, 0))


@pytest.mark.parametrize(("classes", "expected"), [(5, None), (10, 0.75)])
def test_the_five_best_answers_are_looked_at(classes: int, expected: float | None) -> None:
    probabilities = np.tile(np.arange(classes, dtype=np.float32), (4, 1))  # the last five are the best
    labels = np.array([classes - 1, classes - 5, classes - 3, 0])
    assert top5(probabilities, labels) == expected
