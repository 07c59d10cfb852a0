"""Fold batch normalization into the convolution before it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.models.graph import Convolution, Graph

if TYPE_CHECKING:
    import keras


def folded(model: keras.Model, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel and an offset per channel that compute the same as a convolution with its batch normalization.

    Args:
        model: The network.
        name: Name of the convolution. Without batch normalization, the offset is its bias.

    Returns:
        The kernel, float32 (height, width, input channels, output channels), and the offset, float32 (output
        channels,).
    """
    kernel, *bias = model.get_layer(name).get_weights()
    if bias:
        return kernel, bias[0]
    norm = model.get_layer(f"{name}_norm")
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return kernel * factor, beta - mean * factor


def set_folded(model: keras.Model, name: str, kernel: np.ndarray, offset: np.ndarray) -> None:
    """Make a convolution with batch normalization compute with this kernel and offset."""
    norm = model.get_layer(f"{name}_norm")
    model.get_layer(name).set_weights([kernel])
    norm.set_weights(_adding(offset, norm.epsilon))


def weights_by_layer(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer that has any, by its name."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def converted_weights(source: keras.Model, target: keras.Model) -> dict[str, list[np.ndarray]]:
    """Return the weights of a source network by layer, converted to the layers of a target network.

    The networks differ only in which convolutions have a bias instead of batch normalization. Where only the target has
    a bias, batch normalization is folded; where only the source has a bias, batch normalization adds it.
    """
    weights = weights_by_layer(source)
    target_layers = {layer.name: layer for layer in target.layers}
    for name, arrays in list(weights.items()):
        norm = f"{name}_norm"
        if len(arrays) == 1 and norm in weights and norm not in target_layers:
            weights[name] = list(folded(source, name))
            del weights[norm]
        elif len(arrays) == 2 and norm not in weights and norm in target_layers:
            kernel, bias = arrays
            weights[name], weights[norm] = [kernel], _adding(bias, target_layers[norm].epsilon)
    return weights


def _adding(offset: np.ndarray, epsilon: float) -> list[np.ndarray]:
    """Return the weights with which batch normalization only adds an offset."""
    one = np.ones_like(offset)
    return [one, offset, 0 * one, one - np.float32(epsilon)]


def normalized(graph: Graph) -> dict[str, Convolution]:
    """Return the convolutions with batch normalization, by name."""
    convolutions = (node.layer for node in graph.nodes if isinstance(node.layer, Convolution))
    return {each.name: each for each in convolutions if each.norm}


def without_normalization(graph: Graph, names: Collection[str]) -> Graph:
    """Return a network in which some convolutions have a bias instead of batch normalization."""
    found = normalized(graph)
    return graph.with_layers({name: replace(found[name], norm=False) for name in names if name in found})


def copy_weights(source: keras.Model, target: keras.Model, excluded: Collection[str] = ()) -> None:
    """Copy the weights of all layers except some convolutions and their batch normalization."""
    for layer in target.layers:
        if layer.weights and layer.name.removesuffix("_norm") not in excluded:
            layer.set_weights(source.get_layer(layer.name).get_weights())
