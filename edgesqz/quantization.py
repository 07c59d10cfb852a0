"""Quantize weights per channel, on the grid that the exported files use. Pure NumPy."""

from __future__ import annotations

import numpy as np

SMALLEST_MAXIMUM = np.float32(1e-9)  # a channel of zeros gets the scale of this maximum


def quantize_kernel(kernel: np.ndarray, bits: int = 4, axis: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Quantize a kernel per output channel, symmetrically, as the quantizer of the int4 export does.

    For each output channel, in float32::

        scale = max(|w|) / L        with L = 2**(bits - 1) - 1, which is 7 for 4 bits and 127 for 8
        q     = round(w / scale)    to the nearest integer, halves to even

    so q is in -L..L: the most negative integer, -8 for 4 bits, is never used. The weight that the file computes with
    is ``scale * q``. The kernel is the folded one, after the export has multiplied it by batch normalization:
    ``kernel * gamma / sqrt(variance + epsilon)``, per output channel.

    The result is a fixed point: quantizing ``scale * q``, computed in float32, gives the same integers and scales,
    bit for bit.

    Args:
        kernel: float, such as (height, width, input channels, output channels) in Keras's layout.
        bits: Number of bits of a weight.
        axis: The axis of the output channels: -1 in Keras's layout, 0 in that of a .tflite file.

    Returns:
        The integers q, int8 in the shape of the kernel, and the scales, float32 (output channels,).
    """
    limit = np.float32(2 ** (bits - 1) - 1)
    kernel = np.moveaxis(np.asarray(kernel, np.float32), axis, -1)
    maximum = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)))
    scales = np.maximum(maximum, SMALLEST_MAXIMUM) / limit
    integers = np.clip(np.rint(kernel / scales), -limit, limit).astype(np.int8)
    return np.moveaxis(integers, -1, axis), scales
