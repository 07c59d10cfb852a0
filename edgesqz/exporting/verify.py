"""Verify an export: compare it with its source model, and decide whether to keep it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.artifact import Images, Verification
from edgesqz.data import Batch
from edgesqz.outputs import class_scores
from edgesqz.stats import share_interval

if TYPE_CHECKING:
    from edgesqz.engine import Engine

# An engine without fast kernels for a variant, such as LiteRT for int16x8, can take a second per image.
TIME_LIMIT_S, BATCH = 60, 50

# An export beyond these limits is wrong, not merely less precise.
MAX_ERROR_IF_EXACT = 1e-3  # of an output, times the largest output where that is above 1
MIN_AGREEMENT = 0.95

# The step of an int8 probability, times the largest output where that is above 1. Where the source model's outputs
# differ by less, the predicted class is a matter of rounding.
RESOLUTION = 1 / 256


def verify(outputs: np.ndarray, expected: np.ndarray, images: Images, source_accuracy: float | None) -> Verification:
    """Compare the outputs of an export with those of its source model.

    Args:
        outputs: The export's outputs, float (N, classes), or (N, 1) for two classes.
        expected: The source model's outputs, of the same shape.
        images: The images that both models were run on.
        source_accuracy: The accuracy of the source model on these images, 0..1, or None without labels.
    """
    differences = np.abs(outputs - expected)
    return Verification(
        images=images,
        agreement=float(np.mean(predictions(outputs, like=expected) == predictions(expected, like=expected))),
        max_error=float(differences.max()),
        mean_error=float(differences.mean()),
        source_accuracy=source_accuracy,
    )


def verification_outputs(engine: Engine, images: Batch) -> np.ndarray:
    """Run an engine on images. A slow engine runs on only the first ones, which is enough to verify a file.

    Args:
        engine: The engine that runs the export.
        images: The verification images, uint8 NHWC, or samples.

    Returns:
        The outputs for the images or samples that were run, float (N, values).
    """
    deadline, parts = time.monotonic() + TIME_LIMIT_S, list[np.ndarray]()
    for start in range(0, len(images), BATCH):
        parts.append(engine.predict(images[start : start + BATCH]))
        if time.monotonic() > deadline:
            break
    return np.concatenate(parts)


def predictions(outputs: np.ndarray, *, like: np.ndarray) -> np.ndarray:
    """Return the predicted class of each image, int64 (N,). See ``class_scores`` for the arguments."""
    return np.asarray(class_scores(outputs, like).argmax(axis=1))


def problem(verification: Verification, expected: np.ndarray, *, exact: bool, trained: bool) -> str | None:
    """Return what is wrong with an export, or None if nothing is.

    Agreement is judged by its confidence interval, so that a small sample rejects only files that are clearly wrong.
    It is not required for random weights, or if every output is correct to the resolution of int8: the classes that
    such an export confuses have nearly equal outputs.

    Args:
        verification: The figures to judge.
        expected: The outputs of the source model.
        exact: Whether the export computes the same as the source model, up to float32 rounding.
        trained: Whether the source model is trained.
    """
    allowed = MAX_ERROR_IF_EXACT * _scale(expected)
    if not np.isfinite(verification.max_error):
        return "its outputs include NaN or infinity"
    if exact and verification.max_error > allowed:
        return f"an output is off by {verification.max_error:.2g}; at most {allowed:.2g} is allowed"
    count, agreement = verification.images.count, verification.agreement
    assert agreement is not None  # as for every classifier
    _, most = share_interval(round(agreement * count), count)
    if trained and most < MIN_AGREEMENT and verification.max_error > RESOLUTION * _scale(expected):
        return (
            f"it agrees with the source model on {agreement:.1%} of {verification.images.describe()}, clearly below "
            f"{MIN_AGREEMENT:.0%}"
        )
    return None


def is_constant(outputs: np.ndarray) -> bool:
    """Return whether a model gives nearly the same outputs for all images, as random weights often do."""
    return bool(np.ptp(outputs, axis=0).max() < RESOLUTION * _scale(outputs))


def _scale(outputs: np.ndarray) -> float:
    """Return the largest output, which is 1 for probabilities."""
    return max(1.0, float(np.abs(outputs).max()))
