"""Separate a network from the normalization at its front, which a quantized input can perform instead."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.artifact import PixelRange

if TYPE_CHECKING:
    import keras

SEED = 0
TOLERANCE = 1e-5  # as a share of the range of values


def without_normalization(model: keras.Model, pixels: PixelRange) -> tuple[keras.Model, PixelRange]:
    """Remove the layers at a model's front that scale and shift all pixels alike.

    These are rescaling layers and layers that do nothing at inference, such as augmentation. Each layer or nested
    model is tried on random images. The split stops before the first one that treats channels differently, and where
    the graph branches.

    Args:
        model: A model of float32 images (N, H, W, channels).
        pixels: Conversion of pixels to values of the model's input.

    Returns:
        The rest of the network, and the conversion of pixels to values of its input.
    """
    import keras

    (start,) = (front,) = model.inputs
    nodes = list(itertools.chain.from_iterable(model._nodes_by_depth.values()))
    while len(readers := [node for node in nodes if any(each is front for each in node.input_tensors)]) == 1:
        (node,) = readers
        if len(node.input_tensors) > 1 or len(node.outputs) > 1:
            break
        if (found := _pixel_map(keras.Model(start, node.outputs[0]), pixels)) is None:
            break
        front, pixels = node.outputs[0], found
    return (model if front is start else keras.Model(front, model.outputs)), pixels


def _pixel_map(front: keras.Model, pixels: PixelRange) -> PixelRange | None:
    """Return the line that maps each pixel to its value after the model's first layers, or None if there is none."""
    if front.output_shape != front.input_shape:
        return None
    images = np.random.default_rng(SEED).integers(0, 256, (2, *front.input_shape[1:]), np.uint8)
    images.flat[:2] = 0, 255
    values = np.asarray(front(pixels.values(images), training=False), np.float64)
    low, high = values.flat[:2]
    found = PixelRange(scale=(high - low) / 255, offset=low)
    tolerance = TOLERANCE * (high - low)
    fits = high > low and np.allclose(values, found.scale * images + found.offset, rtol=0, atol=tolerance)
    return found if fits else None
