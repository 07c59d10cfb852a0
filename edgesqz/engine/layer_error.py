"""Measure how far the values of each layer of an export are from those of the source model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgesqz.data import Batch
    from edgesqz.engine import Engine

# SQNR of each layer in dB, in execution order. None means that the layer is exact.
LayerErrors = Mapping[str, float | None]

GROWTH_DB = 10  # the error has ten times the power of any earlier layer's
SOUND_DB = 30  # SQNR of a layer that is quantized well to 8 bits
HARMFUL_DB = SOUND_DB - GROWTH_DB
FLOOR_DB = -100  # the signal is lost
# The name that Keras gives a model, which starts the names of its tensors. Its number depends on the models before it.
KERAS_PREFIX = re.compile(r"^(functional|sequential)(_\d+)*/")


def layer_sqnr_db(source_model: Engine, export: Engine, images: Batch) -> LayerErrors:
    """Compute the signal-to-quantization-noise ratio of each layer that two engines have in common.

    The ratio is the power of the source model's values divided by the power of the differences, over all images. A
    tensor belongs to a layer if its name contains the layer's and its shape is that of the layer, in either layout.

    Args:
        source_model: Engine that runs the source model.
        export: Engine that runs the exported file.
        images: uint8 (N, H, W, channels), or samples.

    Returns:
        The ratios in dB, in execution order.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for k in range(len(images)):
        image = images[k : k + 1]
        found = export.tensors(image)
        for layer, wanted in source_model.tensors(image).items():
            if layouts := _found(layer, wanted.shape, found):
                signal[layer] = signal.get(layer, 0) + _power(wanted)
                noise[layer] = noise.get(layer, 0) + min(_power(values - wanted) for values in layouts)
    return {layer: _decibels(signal[layer], noise[layer]) for layer in signal if signal[layer]}


def grows_at(errors: LayerErrors) -> str | None:
    """Return the first layer whose error has ten times the power of any earlier layer's, or None if there is none.

    The error must also have ten times the power of the error that sound 8-bit quantization causes. A smaller error does
    no harm, even if the earlier layers are nearly exact.
    """
    least = float(SOUND_DB)
    for layer, ratio in errors.items():
        decibels = math.inf if ratio is None else ratio
        if decibels < least - GROWTH_DB:
            return layer
        least = min(least, decibels)
    return None


def in_order(compared: Sequence[LayerErrors]) -> list[str]:
    """Return the layers of all exports, each after the layers that run before it."""
    ordered: list[str] = []
    for errors in compared:
        behind = 0
        for layer in errors:
            if layer not in ordered:
                ordered.insert(behind, layer)
            behind = ordered.index(layer) + 1
    return ordered


def _found(layer: str, shape: tuple[int, ...], tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Find the output of a layer among the tensors of an export, in each layout that has its shape.

    Converters append a number and then their own steps to a name. The last step is the output of the layer.
    """
    named = re.compile(rf"(^|/){re.escape(KERAS_PREFIX.sub('', layer))}(_\d+)?([/:.]|$)")
    for name, values in reversed(list(tensors.items())):
        if named.search(name):
            turned = [values.transpose(0, 2, 3, 1)] if values.ndim == 4 else []
            if layouts := [each for each in (values, *turned) if each.shape == shape]:
                return layouts
    return []


def _power(values: np.ndarray) -> float:
    """Return the sum of squares; infinite if a value is NaN or infinity."""
    power = float(np.sum(np.square(values, dtype=np.float64)))
    return power if math.isfinite(power) else math.inf


def _decibels(signal: float, noise: float) -> float | None:
    return None if noise == 0 else max(10 * math.log10(max(signal / noise, 1e-300)), FLOOR_DB)
