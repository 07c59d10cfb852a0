"""The values of inputs: drawn at random, or read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesqz.artifact import Tensor
from edgesqz.data import Samples, sample_shape
from edgesqz.errors import EdgesqzError

NUMBERS = Tensor(name="numbers", shape=(None, 5), dtype="float32")
IDS = Tensor(name="ids", shape=(1, 4), dtype="int64")
BYTES = Tensor(name="bytes", shape=(2, 3), dtype="int8", scale=0.1, zero_point=0)


def test_random_values_suit_every_kind_of_input() -> None:
    found = Samples.random([NUMBERS, IDS, BYTES], 100, seed=0)
    numbers, ids, reals = found.arrays
    assert len(found) == 100 and len(found[:7]) == 7
    assert (numbers.shape, ids.shape, reals.shape) == ((100, 1, 5), (100, 1, 4), (100, 2, 3))
    assert set(np.unique(ids)) == {0, 1}
    assert all(0 <= values.min() < 0.01 and 0.99 < values.max() <= 1 for values in (numbers, reals))
    np.testing.assert_array_equal(Samples.random([NUMBERS, IDS, BYTES], 100, seed=0).arrays[0], numbers)


def test_an_input_of_any_shape_is_refused() -> None:
    assert sample_shape(Tensor(name="scalar", shape=(), dtype="float32")) == ()
    with pytest.raises(EdgesqzError, match=r"the shape of its input words is not fixed: \(1, None\)"):
        sample_shape(Tensor(name="words", shape=(1, None), dtype="int64"))


def test_a_file_may_omit_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "values.npz"
    np.savez(path, ids=np.arange(8).reshape(2, 4), numbers=np.ones((2, 1, 5)))
    numbers, ids = Samples.read(path, [NUMBERS, IDS]).arrays
    assert (numbers.shape, ids.shape) == ((2, 1, 5), (2, 1, 4))
    assert ids[1, 0].tolist() == [4, 5, 6, 7] and ids.dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"numbers": np.ones((2, 5))}, r"expected one array for each input \(numbers, ids\), got numbers"),
        ({"numbers": np.ones((2, 6)), "ids": np.ones((2, 4))}, r"shape \('N', 1, 5\) for numbers, got float64 .*2, 6"),
        ({"numbers": np.ones((2, 5)), "ids": np.full((2, 4), "x")}, r"expected numbers .* for ids, got <U1"),
        (
            {"numbers": np.ones((2, 5)), "ids": np.ones((3, 4))},
            r"the same number of samples in each array, got \[2, 3\]",
        ),
        ({"numbers": np.ones((0, 5)), "ids": np.ones((0, 4))}, r"the same number of samples in each array, got \[0\]"),
        ({"numbers": np.ones((2, 5)), "ids": np.array([None, None])}, "cannot read .*values.npz as .npz"),
    ],
)
def test_a_file_that_does_not_match_the_inputs_is_refused(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "values.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(EdgesqzError, match=message):
        Samples.read(path, [NUMBERS, IDS])


def test_images_get_channels_last_and_other_values_keep_their_layout() -> None:
    images, numbers = np.random.default_rng(0).random((2, 1, 3, 8, 12)), np.ones((2, 1, 5))
    turned, kept = Samples((images, numbers)).in_layout([(1, 8, 12, 3), (1, 5)]).arrays
    np.testing.assert_array_equal(turned, images.transpose(0, 1, 3, 4, 2))
    assert kept is numbers
