"""Compute the accuracy of predictions, and compare them with those of a source model."""

from __future__ import annotations

import numpy as np

from edgesqz.benchmarking.rows import Comparison, Evaluation
from edgesqz.stats import mcnemar_p, share_interval


def evaluation(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Compare predictions with the labels.

    Args:
        probabilities: Scores that rank the classes, such as probabilities; float (N, classes).
        labels: Class of each image; int64 (N,).
    """
    top1 = probabilities.argmax(axis=1)
    correct = top1 == labels
    counts = confusion(top1, labels, probabilities.shape[1])
    return Evaluation(
        accuracy=float(correct.mean()),
        accuracy_interval=share_interval(int(correct.sum()), len(correct)),
        top5=top5(probabilities, labels),
        class_accuracies=tuple(row[k] / sum(row) if sum(row) else None for k, row in enumerate(counts)),
        confusion=counts,
        correct=correct,
    )


def comparison(probabilities: np.ndarray, source_model: np.ndarray, labels: np.ndarray) -> Comparison:
    """Compare predictions with those of a source model.

    Args:
        probabilities: Scores of the exported model; float (N, classes).
        source_model: Scores of the source model for the same images; float (N, classes).
        labels: Class of each image; int64 (N,).
    """
    top1, expected = probabilities.argmax(axis=1), source_model.argmax(axis=1)
    correct, was_correct = top1 == labels, expected == labels
    gained, lost = int((correct & ~was_correct).sum()), int((was_correct & ~correct).sum())
    return Comparison(
        agreement=float(np.mean(top1 == expected)),
        accuracy_drop_pp=100 * (lost - gained) / len(labels),
        gained=gained,
        lost=lost,
        mcnemar_p=mcnemar_p(gained, lost),
    )


def confusion(top1: np.ndarray, labels: np.ndarray, classes: int) -> tuple[tuple[int, ...], ...]:
    """Count the images by class (row) and predicted class (column)."""
    counts = np.bincount(labels * classes + top1, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def top5(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the top-5 accuracy, 0..1, or None for fewer than six classes, where it would be trivial."""
    if probabilities.shape[1] <= 5:
        return None
    best = np.argpartition(probabilities, -5, axis=1)[:, -5:]
    return float((best == labels[:, None]).any(axis=1).mean())
