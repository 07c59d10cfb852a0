"""What the outputs of a network say of the classes, whichever way it was made to tell them apart."""

from __future__ import annotations

import numpy as np


def class_scores(outputs: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Give each class a score, of which the greatest decides.

    Several outputs are that already. A single one decides between two classes: a probability by the side of 0.5, a
    logit by that of 0.

    Args:
        outputs: float (N, classes), or (N, 1) for two classes.
        like: outputs of the same kind, which show whether a single one is a probability: all are 0..1. None for
            ``outputs`` themselves.

    Returns:
        float (N, classes), with two columns for a single output: of a probability p these are 1 - p and p, of a
        logit z -z and z.
    """
    if outputs.shape[1] > 1:
        return outputs
    like = outputs if like is None else like
    is_probability = like.min() >= 0 and like.max() <= 1
    return np.concatenate([1 - outputs if is_probability else -outputs, outputs], axis=1)
