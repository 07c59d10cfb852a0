"""Verification: what an export must have in common with its source model before it is kept."""

from __future__ import annotations

import numpy as np

from edgesqz.artifact import Images, Verification
from edgesqz.outputs import class_scores
from edgesqz.stats import share_interval

# Beyond these an export is wrong, not merely less precise.
MAX_ERROR_IF_EXACT = 1e-3  # of an output; relative to the largest where outputs are no probabilities
MIN_AGREEMENT = 0.95


def verify(outputs: np.ndarray, expected: np.ndarray, images: Images, source_accuracy: float | None) -> Verification:
    """Compare an export's outputs with those of its source model.

    Args:
        outputs: of the export, float (N, classes), or (N, 1) for two classes.
        expected: of the source model, of the same shape.
        images: what both were run on.
        source_accuracy: of the source model on these, 0..1; None without labels.
    """
    differences = np.abs(outputs - expected)
    return Verification(
        images=images,
        agreement=float(np.mean(predictions(outputs, like=expected) == predictions(expected, like=expected))),
        max_error=float(differences.max()),
        mean_error=float(differences.mean()),
        source_accuracy=source_accuracy,
    )


def predictions(outputs: np.ndarray, *, like: np.ndarray) -> np.ndarray:
    """Tell the class of each image, int64 (N,), by outputs as ``class_scores`` takes them."""
    return np.asarray(class_scores(outputs, like).argmax(axis=1))


def problem(verification: Verification, expected: np.ndarray, *, exact: bool, trained: bool) -> str | None:
    """Say what is wrong with an export; None if nothing is.

    Agreement is judged by its interval, so that a few images refuse only what is clearly wrong. Random weights have
    learned nothing that predictions could agree on, so that is not asked of them.

    Args:
        verification: what was found.
        expected: the outputs of the source model.
        exact: whether the export computes what the source model does, up to float32's rounding.
        trained: whether the source model's weights are not random.
    """
    allowed = MAX_ERROR_IF_EXACT * max(1.0, float(np.abs(expected).max()))
    if not np.isfinite(verification.max_error):
        return "its outputs include NaN or infinity"
    if exact and verification.max_error > allowed:
        return f"an output is off by {verification.max_error:.2g}, the most allowed is {allowed:.2g}"
    count = verification.images.count
    _, most = share_interval(round(verification.agreement * count), count)
    if trained and most < MIN_AGREEMENT:
        return (
            f"it agrees with the source model on {verification.agreement:.1%} of {count} "
            f"{verification.images.dataset} images, clearly below {MIN_AGREEMENT:.0%}"
        )
    return None


def is_guessing(predicted: np.ndarray, labels: np.ndarray) -> bool:
    """Whether predictions are no better than naming the most frequent class each time.

    The share that is correct must be no better by its interval, and clearly nearer to that of guessing than to 1, so
    that a few images raise no false alarm.

    Args:
        predicted: int64 (N,), classes.
        labels: int64 (N,), the true ones.
    """
    guessed = np.bincount(labels).max() / len(labels)
    least, most = share_interval(int((predicted == labels).sum()), len(labels))
    return bool(least <= guessed and most < (1 + guessed) / 2)
