"""Conversion of a network's outputs to class scores, compared with values calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.outputs import class_scores


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([[0.25], [0.5], [0.75]], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]),
        ([[-3], [0.25], [4]], [[3, -3], [-0.25, 0.25], [-4, 4]]),
        ([[0.2, 0.5, 0.3]], [[0.2, 0.5, 0.3]]),
    ],
)
def test_a_single_output_becomes_scores_of_two_classes(outputs: list[list[float]], expected: list[list[float]]) -> None:
    assert class_scores(np.array(outputs)).tolist() == expected


def test_other_outputs_of_the_same_kind_distinguish_logits_from_probabilities() -> None:
    assert class_scores(np.array([[0.25]]), like=np.array([[-3], [4]])).argmax(axis=1).tolist() == [1]
