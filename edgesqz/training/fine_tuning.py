"""Fine-tuning: start from the weights of a trained network, and freeze its first modules.

A module is a convolution, a fire module or a dense layer, such as ``stem``, ``fire11``, ``fire12`` and ``classifier``.
The names of its layers start with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.errors import EdgesqzError, option
from edgesqz.models.graph import Graph
from edgesqz.models.loading import SourceModel
from edgesqz.training import folding, forms
from edgesqz.training.recipe import Recipe

if TYPE_CHECKING:
    import keras

NETWORK = ("model", "input_size", "preprocessing")  # fields of a recipe that the weights depend on

Weights = Mapping[str, Sequence[np.ndarray]]  # weights of each layer that has any, by its name
Shapes = Mapping[str, Sequence[tuple[int, ...]]]  # shapes of the weights of each layer that has any, by its name


def network_of(source: SourceModel) -> dict[str, Any]:
    """Return the values of a recipe that build the same network again, as far as the manifest contains them."""
    training = (source.manifest and source.manifest.training) or {}
    recipe = training.get("recipe", {})
    return {name: recipe[name] for name in NETWORK if recipe.get(name) is not None}


def modules(graph: Graph) -> list[str]:
    """Return the names of the modules, from the input to the classifier, which is the last one."""
    return list(dict.fromkeys(_module(node.layer.name) for node in graph.nodes if node.cost().parameters))


def frozen_modules(graph: Graph, count: int) -> list[str]:
    """Return the names of the first ``count`` modules.

    Raises:
        EdgesqzError: There are fewer modules before the classifier, which is never frozen.
    """
    *before, classifier = modules(graph)
    if count > len(before):
        raise EdgesqzError(
            f"{option('freeze')} must be at most {len(before)}, because {graph.name} has {len(before)} modules before "
            f"its {classifier}; got {count}"
        )
    return before[:count]


def freeze(network: keras.Model, names: Iterable[str]) -> None:
    """Freeze modules of a network. Their batch normalization keeps its statistics, as in a finished network."""
    frozen = set(names)
    for layer in network.layers:
        layer.trainable = _module(layer.name) not in frozen


def keeps_classifier(source: SourceModel, labels: Sequence[str]) -> bool:
    """Return whether the classifier of a trained network is for exactly these classes."""
    return source.manifest is not None and source.manifest.labels == tuple(labels)


def initial_weights(graph: Graph, recipe: Recipe, source: SourceModel, labels: Sequence[str]) -> list[np.ndarray]:
    """Return the weights of the trained form, in Keras's order, that make it equivalent to a trained network.

    Args:
        graph: The network to train.
        recipe: The recipe, whose seed also initializes a new classifier.
        source: The trained network. Its classifier is replaced by a random one unless it is for the same classes.
        labels: Class names.

    Raises:
        EdgesqzError: The two networks do not have the same layers.
    """
    from keras import utils

    utils.set_random_seed(recipe.seed)
    network = forms.trained_form(graph, recipe).to_keras()
    replaced = None if keeps_classifier(source, labels) else modules(graph)[-1]
    ours, theirs = (
        _without(replaced, weights)
        for weights in (folding.weights_by_layer(network), folding.converted_weights(source.model, network))
    )
    if problem := mismatch(_shapes(ours), _shapes(theirs)):
        raise EdgesqzError(
            f"{option('init')} {source.source} does not fit {graph.name}: {problem}; set {option('model')} to the "
            f"name of its network"
        )
    for name, arrays in theirs.items():
        network.get_layer(name).set_weights(arrays)
    weights: list[np.ndarray] = network.get_weights()
    return weights


def mismatch(expected: Shapes, found: Shapes) -> str | None:
    """Describe the first layer in which two networks differ, or return None if they have the same layers."""
    for name, shapes in expected.items():
        if name not in found:
            return f"it has no layer {name}"
        if found[name] != shapes:
            return f"its layer {name} has weights of shape {_listed(found[name])}, expected {_listed(shapes)}"
    extra = next((name for name in found if name not in expected), None)
    return None if extra is None else f"it also has a layer {extra}"


def _without(module: str | None, weights: Weights) -> Weights:
    return {name: arrays for name, arrays in weights.items() if _module(name) != module}


def _shapes(weights: Weights) -> Shapes:
    return {name: [each.shape for each in arrays] for name, arrays in weights.items()}


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _module(layer: str) -> str:
    """Return the name of the module that a layer belongs to."""
    return layer.partition("_")[0]
