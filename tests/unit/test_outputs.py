"""Conversion of a network's outputs to class scores, compared with values calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.outputs import are_probabilities, class_scores, is_guessing, softmax


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


@pytest.mark.parametrize(
    ("correct", "count", "guessing"),
    [
        (57, 500, True),  # 11.4 % of ten classes
        (90, 500, False),
        (1, 10, True),
        (3, 10, False),  # too few images to decide
        (400, 500, False),
    ],
)
def test_guessing_is_distinguished_from_low_accuracy(correct: int, count: int, guessing: bool) -> None:
    labels = np.arange(count) % 10
    predicted = np.where(np.arange(count) < correct, labels, (labels + 1) % 10)
    assert is_guessing(predicted, labels) == guessing


def test_always_predicting_the_most_frequent_class_is_guessing() -> None:
    labels = np.repeat([0, 1], [320, 180])
    assert is_guessing(np.zeros(500, int), labels)


def test_softmax_gives_probabilities_in_the_order_of_the_logits() -> None:
    logits = np.array([[0, np.log(3)], [1000, 1000]])
    assert not are_probabilities(logits)
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.5, 0.5]])
    assert are_probabilities(softmax(logits))
