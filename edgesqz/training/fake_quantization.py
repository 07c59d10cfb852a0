"""The convolution of quantization-aware training."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from edgesqz.quantization import SMALLEST_MAXIMUM

LIMIT = 7.0  # largest 4-bit weight


class QuantizedConv2D(keras.layers.Conv2D):
    """A convolution that computes with its kernel on the grid of ``edgesqz.quantization.quantize_kernel``."""

    def call(self, inputs: Any) -> Any:
        """Convolve (N, H, W, C)."""
        convolved = tf.nn.conv2d(inputs, quantized(self.kernel), self.strides, self.padding.upper())
        return tf.nn.bias_add(convolved, self.bias)


def quantized(kernel: Any) -> Any:
    """Round a kernel to 4 bits per output channel. The gradient passes unchanged."""
    kernel = tf.convert_to_tensor(kernel)
    scale = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=[0, 1, 2]), SMALLEST_MAXIMUM) / LIMIT
    rounded = tf.clip_by_value(tf.round(kernel / scale), -LIMIT, LIMIT) * scale
    return kernel + tf.stop_gradient(rounded - kernel)
