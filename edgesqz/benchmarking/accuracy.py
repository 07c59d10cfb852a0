"""What answers are worth: against the truth, and beside the answers of a source model."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesqz.stats import mcnemar_p, share_interval


def graded(probabilities: np.ndarray, labels: np.ndarray, source_model: np.ndarray | None) -> dict[str, Any]:
    """Grade the answers to some images.

    Args:
        probabilities: float (N, classes); whatever ranks the classes will do.
        labels: int64 (N,), the classes.
        source_model: what the source model answers to the same images, float (N, classes); None without one.

    Returns:
        Figures by their names in ``edgesqz.benchmarking.report.Row``.
    """
    top1 = probabilities.argmax(axis=1)
    right = top1 == labels
    counts = confusion(top1, labels, probabilities.shape[1])
    figures = {
        "correct": right,
        "accuracy": float(right.mean()),
        "accuracy_interval": share_interval(int(right.sum()), len(right)),
        "top5": top5(probabilities, labels),
        "class_accuracies": tuple(row[k] / sum(row) if sum(row) else None for k, row in enumerate(counts)),
        "confusion": counts,
    }
    return figures if source_model is None else figures | _compared(top1, source_model.argmax(axis=1), labels)


def _compared(top1: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    right, was_right = top1 == labels, expected == labels
    gained, lost = int((right & ~was_right).sum()), int((was_right & ~right).sum())
    return {
        "agreement": float(np.mean(top1 == expected)),
        "accuracy_drop_pp": 100 * (lost - gained) / len(labels),
        "gained": gained,
        "lost": lost,
        "mcnemar_p": mcnemar_p(gained, lost),
    }


def confusion(top1: np.ndarray, labels: np.ndarray, classes: int) -> tuple[tuple[int, ...], ...]:
    """Count how many images of each class (row) got each answer (column)."""
    counts = np.bincount(labels * classes + top1, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def top5(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Share of images whose class is among the five best; None where that would be nearly all classes."""
    if probabilities.shape[1] <= 5:
        return None
    best = np.argpartition(probabilities, -5, axis=1)[:, -5:]
    return float((best == labels[:, None]).any(axis=1).mean())
