"""The form in which a network is trained: as it is, with branches, or with quantized weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.models.graph import Graph
from edgesqz.training import branches, quantization
from edgesqz.training.recipe import Recipe

if TYPE_CHECKING:
    import keras


def trained_form(graph: Graph, recipe: Recipe) -> Graph:
    """Return the network that a recipe trains.

    Raises:
        EdgesqzError: The network has nothing to quantize.
    """
    if recipe.quantize_aware:
        return quantization.quantized(graph)
    return branches.branched(graph) if recipe.branches else graph


def finished(graph: Graph, recipe: Recipe, weights: Sequence[np.ndarray]) -> keras.Model:
    """Build the finished network, of standard Keras layers, from the weights of its trained form."""
    if recipe.quantize_aware:
        return quantization.finished(graph, weights)
    if recipe.branches:
        return branches.finished(graph, weights)
    model = graph.to_keras()
    model.set_weights(weights)
    return model
