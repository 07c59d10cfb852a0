"""Branches that exist only during training: 3x3 convolutions become sums, which the finished network folds again.

Source: Ding et al., "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via Asymmetric Convolution Blocks",
2019. As there, each branch has its own batch normalization, and the branches are added after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.models.graph import Convolution, Graph, Node

if TYPE_CHECKING:
    import keras

KERNELS = {"": (3, 3), "_row": (1, 3), "_column": (3, 1)}  # suffix of a branch's name -> size of its kernel


@dataclass(frozen=True, kw_only=True)
class BranchedConvolution(Convolution):
    """A 3x3 convolution as the sum of a 3x3, a 1x3 and a 3x1 convolution, each with batch normalization."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        branches = []
        for suffix, kernel in KERNELS.items():
            name = self.name + suffix
            convolution = layers.Conv2D(
                self.channels, kernel, self.stride, padding=self.padding, use_bias=False, name=name
            )
            branches.append(normalization(name=f"{name}_norm")(convolution(*inputs)))
        x = layers.Add(name=f"{self.name}_sum")(branches)
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x


def branched(graph: Graph) -> Graph:
    """Return a network in which every 3x3 convolution with batch normalization has branches."""
    copy, nodes = Graph(graph.name), dict[Node, Node]()
    for node in graph.nodes:
        layer = node.layer
        if isinstance(layer, Convolution) and layer.kernel == 3 and layer.norm and layer.groups == 1:
            layer = BranchedConvolution(**{each.name: getattr(layer, each.name) for each in fields(layer)})
        nodes[node] = copy.add(layer, *(nodes[source] for source in node.inputs))
    return copy


def folded(graph: Graph, weights: list[np.ndarray]) -> keras.Model:
    """Build a network from the weights of its branched form.

    Args:
        graph: The network without branches.
        weights: Weights of the branched network, in Keras's order.
    """
    trained, model = branched(graph).to_keras(), graph.to_keras()
    trained.set_weights(weights)
    for layer in model.layers:
        convolution = layer.name.removesuffix("_norm")
        if f"{convolution}_sum" not in (names := {each.name for each in trained.layers}):
            layer.set_weights(trained.get_layer(layer.name).get_weights())
        elif layer.name in names and layer.name == convolution:
            kernel, offset = _folded_branches(trained, convolution)
            layer.set_weights([kernel])
            norm = model.get_layer(f"{convolution}_norm")
            one = np.ones_like(offset)
            norm.set_weights([one, offset, 0 * one, one - np.float32(norm.epsilon)])
    return model


def _folded_branches(model: keras.Model, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the 3x3 kernel and the offset that compute the same as the branches of a convolution."""
    kernels, offsets = [], []
    for suffix, (height, width) in KERNELS.items():
        (kernel,) = model.get_layer(name + suffix).get_weights()
        norm = model.get_layer(f"{name}{suffix}_norm")
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        rows, columns = (3 - height) // 2, (3 - width) // 2
        kernels.append(np.pad(kernel * factor, ((rows, rows), (columns, columns), (0, 0), (0, 0))))
        offsets.append(beta - mean * factor)
    return np.sum(kernels, axis=0), np.sum(offsets, axis=0)
