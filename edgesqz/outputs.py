"""Convert the outputs of a network to a score for each class, whether it has one output or several."""

from __future__ import annotations

import numpy as np


def class_scores(outputs: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Return a score for each class; the highest is the prediction.

    Several outputs are scores already. A single output predicts one of two classes: a probability by whether it exceeds
    0.5, a logit by whether it exceeds 0.

    Args:
        outputs: float (N, classes), or (N, 1) for two classes.
        like: Outputs of the same model that show whether a single output is a probability, because all of them are in
            0..1; by default ``outputs`` themselves.

    Returns:
        float (N, classes), with two columns for a single output: of a probability p these are 1 - p and p, of a
        logit z -z and z.
    """
    if outputs.shape[1] > 1:
        return outputs
    like = outputs if like is None else like
    is_probability = like.min() >= 0 and like.max() <= 1
    return np.concatenate([1 - outputs if is_probability else -outputs, outputs], axis=1)
