"""Interpret the outputs of networks: one score per class, and how far values are from those they should be."""

from __future__ import annotations

import math

import numpy as np

from edgesqz.stats import share_interval

MAX_DB = 200.0  # for values that are equal
PROBABILITY_TOLERANCE = 1e-3


def are_probabilities(outputs: np.ndarray) -> bool:
    """Return whether all outputs, float (N, classes), can be probabilities because they are between 0 and 1."""
    return bool(outputs.min() >= -PROBABILITY_TOLERANCE and outputs.max() <= 1 + PROBABILITY_TOLERANCE)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return logits, float (N, classes), as probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def class_scores(outputs: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Return one score per class. The class with the highest score is the prediction.

    Several outputs are already scores. A single output distinguishes two classes by its value: the threshold is 0.5 for
    a probability and 0 for a logit.

    Args:
        outputs: float (N, classes), or (N, 1) for two classes.
        like: Outputs of the same model that determine whether a single output is a probability, which it is if all of
            them are in 0..1. By default ``outputs``.

    Returns:
        float (N, classes). A single output gives two columns: 1 - p and p for a probability p, and -z and z for a
        logit z.
    """
    if outputs.shape[1] > 1:
        return outputs
    like = outputs if like is None else like
    is_probability = like.min() >= 0 and like.max() <= 1
    return np.concatenate([1 - outputs if is_probability else -outputs, outputs], axis=1)


def is_guessing(predicted: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether predictions are no better than always predicting the most common class.

    The confidence interval of the accuracy must include that of guessing, and must lie below the midpoint between it
    and 1, so that a small sample raises no false alarm.

    Args:
        predicted: The predicted classes, int64 (N,).
        labels: The true classes, int64 (N,).
    """
    guessed = np.bincount(labels).max() / len(labels)
    least, most = share_interval(int((predicted == labels).sum()), len(labels))
    return bool(least <= guessed and most < (1 + guessed) / 2)


def sqnr_db(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the signal-to-quantization-noise ratio of values, in decibels, and ``MAX_DB`` at most."""
    noise = float(np.sum(np.square(values - expected, dtype=np.float64)))
    signal = float(np.sum(np.square(expected, dtype=np.float64)))
    if not (noise and signal):
        return MAX_DB if noise == 0 else -MAX_DB
    return min(10 * math.log10(signal / noise), MAX_DB) if math.isfinite(noise) else -MAX_DB
