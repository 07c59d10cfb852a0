"""TensorFlow Lite, through TensorFlow's own converter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

FORMAT = "tflite"
SUFFIX = ".tflite"
VARIANTS = {"fp32": False, "fp16": False, "dynamic": False, "int8": True, "int16x8": True}
PACKAGES = ("tensorflow", "keras")


def convert(model: keras.Model, variant: str, calibration: np.ndarray | None) -> bytes:
    """Convert a Keras model.

    - ``fp32``: as it is.
    - ``fp16``: weights as float16, half the size; most CPUs compute in float32 all the same.
    - ``dynamic``: weights as int8, activations float.
    - ``int8``: weights and activations int8, input and output too. The normalization at the model's front becomes
      the scale and zero point of the input.
    - ``int16x8``: weights int8, activations int16; input and output stay float.

    Args:
        model: from pixels 0..255, float32 (N, H, W, 3).
        variant: one of ``VARIANTS``.
        calibration: uint8 pictures (N, H, W, 3) that set the quantization ranges, for the variants that need them.
    """
    import tensorflow as tf

    pixels = PixelRange()
    if variant == "int8":
        model, pixels = without_normalization(model)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
