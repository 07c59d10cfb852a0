"""What verification accepts and rejects, with handmade outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgesqz.artifact import Images, Verification
from edgesqz.exporting.verify import is_constant, predictions, problem, verification_outputs, verify


def images(count: int) -> Images:
    return Images(dataset="cifar10", split="train", count=count, seed=0)


def agreeing(on: int, of: int) -> Verification:
    return Verification(images=images(of), agreement=on / of, max_error=0.5, mean_error=0.1)


def test_a_single_probability_has_a_threshold_of_one_half() -> None:
    expected = np.array([[0.1], [0.4], [0.6], [0.9]], np.float32)
    found = verify(np.array([[0.2], [0.6], [0.4], [0.9]], np.float32), expected, images(4), None)
    assert found.agreement == 0.5
    assert found.max_error == pytest.approx(0.2)
    assert found.mean_error == pytest.approx(0.125)


def test_a_single_logit_has_a_threshold_of_zero() -> None:
    expected = np.array([[-3], [0.2], [4]], np.float32)
    assert predictions(expected, like=expected).tolist() == [0, 1, 1]


def test_with_several_outputs_the_largest_decides() -> None:
    outputs = np.array([[0.2, 0.5, 0.3], [0.9, 0, 0.1]])
    assert predictions(outputs, like=outputs).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("on", "of", "refused"), [(14, 15, False), (12, 15, True), (500, 500, False), (470, 500, False), (460, 500, True)]
)
def test_agreement_is_judged_by_its_interval(on: int, of: int, refused: bool) -> None:
    found = problem(agreeing(on, of), np.eye(3), exact=False, trained=True)
    assert (found is not None) == refused
    if found:
        assert f"of {of} training images of cifar10, clearly below 95%" in found
    assert problem(agreeing(on, of), np.eye(3), exact=False, trained=False) is None


def test_an_exact_export_may_differ_by_a_thousandth_of_large_outputs() -> None:
    found = Verification(images=images(50), agreement=1, max_error=0.004, mean_error=0.001)
    assert problem(found, np.array([[-40.0, 12.0]]), exact=True, trained=True) is None
    assert problem(found, np.array([[0.3, 0.7]]), exact=True, trained=True) == (
        "an output is off by 0.004; at most 0.001 is allowed"
    )


def test_ties_that_rounding_decides_are_not_a_problem() -> None:
    expected = np.full((50, 10), 0.1)
    close, off = (Verification(images=images(50), agreement=0, max_error=e, mean_error=0.001) for e in (0.0016, 0.02))
    assert problem(close, expected, exact=False, trained=True) is None
    assert "on 0.0% of 50" in str(problem(off, expected, exact=False, trained=True))


def test_outputs_that_hardly_differ_between_images_are_constant() -> None:
    outputs = np.tile([[0.5, 0.3, 0.2]], (20, 1))
    assert is_constant(outputs)
    assert is_constant(outputs + np.linspace(0, 0.002, 20)[:, None])
    assert not is_constant(outputs + np.linspace(0, 0.1, 20)[:, None])
    assert not is_constant(100 * (outputs + np.linspace(0, 0.1, 20)[:, None]))


class FakeEngine:
    """An engine that returns the first value of each image, and records the batch sizes."""

    def __init__(self) -> None:
        self.batches = list[int]()

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return images[:, 0, 0].astype(np.float32)


def predict(count: int) -> tuple[np.ndarray, list[int]]:
    engine: Any = FakeEngine()
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return verification_outputs(engine, images), engine.batches


def test_all_images_are_run() -> None:
    outputs, batches = predict(120)
    assert outputs[:, 0].tolist() == list(range(120))
    assert batches == [50, 50, 20]


def test_a_slow_engine_runs_the_first_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesqz.exporting.verify.TIME_LIMIT_S", -1)
    outputs, batches = predict(120)
    assert outputs[:, 0].tolist() == list(range(50))
    assert batches == [50]
