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
    norm, one = model.get_layer(f"{name}_norm"), np.ones_like(offset)
    model.get_layer(name).set_weights([kernel])
    norm.set_weights([one, offset, 0 * one, one - np.float32(norm.epsilon)])


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
