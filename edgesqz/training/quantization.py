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
    inner = _inner_convolutions(graph)
    if not inner:
        raise EdgesqzError(
            f"{option('quantize_aware')} expects a network with convolutions between its first and its last layer; "
            f"{graph.name} has none"
        )
    return graph.with_layers({layer.name: QuantizedConvolution(**vars(layer)) for layer in inner})


def finished(graph: Graph, weights: Sequence[np.ndarray]) -> keras.Model:
    """Build a network of standard layers, with quantized weights, from the weights of its quantized form.

    Its inner convolutions have a bias instead of batch normalization. Multiplying quantized weights by the factor of
    batch normalization, even by 1 as TensorFlow computes it, would round them off the grid.
    """
    names = [layer.name for layer in _inner_convolutions(graph)]
    trained, model = quantized(graph).to_keras(), folding.without_normalization(graph, names).to_keras()
    trained.set_weights(weights)
    folding.copy_weights(trained, model)
    for name in names:
        kernel, bias = trained.get_layer(name).get_weights()
        integers, scales = quantize_kernel(kernel)
        model.get_layer(name).set_weights([integers * scales, bias])
    return model


def _inner_convolutions(graph: Graph) -> list[Convolution]:
    weighted = [node.layer for node in graph.nodes if isinstance(node.layer, Convolution | Dense)]
    return [layer for layer in weighted[1:-1] if isinstance(layer, Convolution) and layer.groups == 1]
