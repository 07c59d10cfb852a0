"""The grid of quantized weights."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.quantization import quantize_kernel


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize(("bits", "limit"), [(4, 7), (8, 127)])
def test_the_largest_weight_of_each_channel_is_the_end_of_the_grid(bits: int, limit: int) -> None:
    integers, scales = quantize_kernel(kernel(3, 3, 16, 24), bits)
    assert (integers.dtype.name, scales.dtype.name, scales.shape) == ("int8", "float32", (24,))
    assert np.abs(integers).max(axis=(0, 1, 2)).tolist() == [limit] * 24


def test_weights_are_rounded_to_the_nearest_point() -> None:
    integers, scales = quantize_kernel(np.array([[7, 1.4, 1.6, -2.5, -7], [0.7, 0.1, 0, -0.2, -0.34]]), axis=0)
    assert integers.tolist() == [[7, 1, 2, -2, -7], [7, 1, 0, -2, -3]]
    np.testing.assert_allclose(scales, [1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_on_the_grid_are_a_fixed_point_bit_for_bit(bits: int) -> None:
    integers, scales = quantize_kernel(kernel(1, 1, 8, 20_000), bits)
    again, same = quantize_kernel(integers * scales, bits)
    np.testing.assert_array_equal(again, integers)
    np.testing.assert_array_equal(same, scales)


def test_a_channel_of_zeros_stays_zero() -> None:
    integers, scales = quantize_kernel(np.zeros((3, 3, 4, 2)))
    assert not integers.any()
    assert (scales > 0).all()


def test_the_axis_of_the_channels_can_be_the_first() -> None:
    weights = kernel(3, 3, 16, 24)
    integers, scales = quantize_kernel(weights)
    moved, same = quantize_kernel(np.moveaxis(weights, -1, 0), axis=0)
    np.testing.assert_array_equal(np.moveaxis(moved, 0, -1), integers)
    np.testing.assert_array_equal(same, scales)
