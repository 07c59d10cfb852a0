"""How far each layer of an export is from the source model's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgesqz.engine import Engine

LayerErrors = Mapping[str, float | None]  # the layer's signal-to-noise ratio in dB; None where nothing differs

GROWTH_DB = 10  # the error's power is ten times what it was
FLOOR_DB = -100  # nothing is left of the signal
SOUND_DB = 30  # of a first layer that is well quantized to 8 bits


def layer_sqnr_db(source_model: Engine, export: Engine, images: np.ndarray) -> LayerErrors:
    """Compare the layers that two engines have in common, in the order they run.

    The ratio is of the power of the source model's values to that of the differences, over all images. A tensor belongs
    to a layer if its name says so and its shape is the layer's, in either layout.

    Args:
        source_model: of the Keras model.
        export: of what was made from it.
        images: uint8 (N, H, W, channels).
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
    """The first layer whose error is ten times the power of any before it; None if it nowhere grows so fast.

    The first of all is held against what 8 bits are good for.
    """
    least = math.inf
    for layer, ratio in errors.items():
        decibels = math.inf if ratio is None else ratio
        if decibels < min(least, SOUND_DB if math.isinf(least) else least) - GROWTH_DB:
            return layer
        least = min(least, decibels)
    return None


def in_order(compared: Sequence[LayerErrors]) -> list[str]:
    """All layers that any of the exports has, each behind those that run before it."""
    ordered: list[str] = []
    for errors in compared:
        behind = 0
        for layer in errors:
            if layer not in ordered:
                ordered.insert(behind, layer)
            behind = ordered.index(layer) + 1
    return ordered


def _found(layer: str, shape: tuple[int, ...], tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The layer's output among an export's tensors, in each layout that gives its shape.

    Converters put a number behind a name and their own steps behind that; the last of them is the whole layer.
    """
    named = re.compile(rf"(^|/){re.escape(layer)}(_\d+)?([/:.]|$)")
    for name, values in reversed(list(tensors.items())):
        if named.search(name):
            turned = [values.transpose(0, 2, 3, 1)] if values.ndim == 4 else []
            if layouts := [each for each in (values, *turned) if each.shape == shape]:
                return layouts
    return []


def _power(values: np.ndarray) -> float:
    """The sum of squares; infinite if a value is no number."""
    power = float(np.sum(np.square(values, dtype=np.float64)))
    return power if math.isfinite(power) else math.inf


def _decibels(signal: float, noise: float) -> float | None:
    return None if noise == 0 else max(10 * math.log10(max(signal / noise, 1e-300)), FLOOR_DB)
