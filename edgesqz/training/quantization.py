"""Quantization-aware training: the network computes with the weights that the exported file will store.

The kernels of inner convolutions are trained in float32, and quantized in every step. The gradient passes through the
rounding unchanged (Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
Conditional Computation", 2013). Batch normalization is folded into these kernels first, because the export does so too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.errors import EdgesqzError, option
from edgesqz.models.graph import Convolution, Dense, Graph
from edgesqz.quantization import quantize_kernel
from edgesqz.training import folding

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class QuantizedConvolution(Convolution):
    """A convolution with a bias, which computes with quantized weights."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        from edgesqz.training.fake_quantization import QuantizedConv2D

        convolution = QuantizedConv2D(self.channels, self.kernel, self.stride, padding=self.padding, name=self.name)
        x = convolution(*inputs)
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x


def quantized(graph: Graph) -> Graph:
    """Return a network whose inner convolutions have quantized weights.

    Raises:
        EdgesqzError: There is no convolution between the first and the last layer.
    """
    names = _inner_convolutions(graph)
    if not names:
        raise EdgesqzError(
            f"{option('quantize_aware')} expects a network with convolutions between its first and its last layer; "
            f"{graph.name} has none"
        )
    return graph.with_layers(QuantizedConvolution, names)


def start(graph: Graph, model: keras.Model) -> list[np.ndarray]:
    """Return the weights of the quantized form, in Keras's order, that make it the same network as a trained one."""
    network, names = quantized(graph).to_keras(), _inner_convolutions(graph)
    folding.copy_others(model, network, names)
    for name in names:
        network.get_layer(name).set_weights(folding.folded(model, name))
    weights: list[np.ndarray] = network.get_weights()
    return weights


def finished(graph: Graph, weights: Sequence[np.ndarray]) -> keras.Model:
    """Build a network of standard layers, with quantized weights, from those of its quantized form."""
    trained, model, names = quantized(graph).to_keras(), graph.to_keras(), _inner_convolutions(graph)
    trained.set_weights(weights)
    folding.copy_others(trained, model, names)
    for name in names:
        kernel, offset = trained.get_layer(name).get_weights()
        integers, scales = quantize_kernel(kernel)
        folding.set_folded(model, name, integers * scales, offset)
    return model


def _inner_convolutions(graph: Graph) -> list[str]:
    weighted = [node.layer for node in graph.nodes if isinstance(node.layer, Convolution | Dense)]
    return [layer.name for layer in weighted[1:-1] if isinstance(layer, Convolution) and layer.groups == 1]
