"""Verifying models that are not classifiers, by the values of their outputs."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgesqz.artifact import Images
from edgesqz.exporting import tensors
from edgesqz.outputs import MAX_DB, sqnr_db

SEEN = Images(dataset="photos", split="train", count=4)
BOXES, MAP, TURNED = (5, 4), (2, 3, 4), (3, 4, 2)
VALUES = np.random.default_rng(0).normal(size=(4, 20 + 24)).astype(np.float32)


def test_a_map_is_turned_to_the_layout_of_the_export() -> None:
    found = tensors.aligned(VALUES, [BOXES, MAP], [BOXES, TURNED])
    np.testing.assert_array_equal(found[:, :20], VALUES[:, :20])
    turned = VALUES[:, 20:].reshape(4, 2, 3, 4).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found[:, 20:], turned.reshape(4, 24))
    np.testing.assert_array_equal(tensors.aligned(VALUES, [BOXES, MAP], [BOXES, MAP]), VALUES)


def test_each_output_has_a_ratio() -> None:
    outputs = VALUES.copy()
    outputs[:, 20:] *= 1.1
    found = tensors.verify(outputs, VALUES, SEEN, [BOXES, MAP])
    assert found.agreement is None
    assert found.sqnr_db == pytest.approx((MAX_DB, 20.0), abs=1e-3)
    assert found.max_error == pytest.approx(0.1 * np.abs(VALUES[:, 20:]).max(), rel=1e-4)


@pytest.mark.parametrize(
    ("factor", "exact", "message"),
    [
        (1.1, False, None),
        (1.0, True, None),
        (1.1, True, "an output is off by"),
        (1.5, False, r"the SQNR of output 2 is 6\.0 dB on 4 training images of photos, below 10 dB"),
        (np.nan, False, "NaN or infinity"),
    ],
)
def test_an_export_that_is_clearly_wrong_has_a_problem(factor: float, exact: bool, message: str | None) -> None:
    outputs = VALUES.copy()
    outputs[:, 20:] *= factor
    problem = tensors.problem(tensors.verify(outputs, VALUES, SEEN, [BOXES, MAP]), VALUES, exact=exact)
    assert re.search(message, problem or "") if message else problem is None


def test_the_ratio_of_no_signal_is_the_lowest() -> None:
    zeros = np.zeros(4)
    assert sqnr_db(zeros, zeros) == MAX_DB
    assert sqnr_db(zeros + 1, zeros) == -MAX_DB
    assert sqnr_db(zeros + np.nan, zeros + 1) == -MAX_DB
