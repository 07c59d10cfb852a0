"""Convert the outputs of a network to one score per class, whether it has one output or several."""

from __future__ import annotations

import numpy as np


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
