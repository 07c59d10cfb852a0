"""Train 3x3 convolutions as sums of branches, which the finished network folds into one convolution.

Source: Ding et al., "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via Asymmetric Convolution Blocks",
2019. As in that paper, each branch has its own batch normalization, and the branches are added after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.models.graph import Convolution, Graph
from edgesqz.training import folding

if TYPE_CHECKING:
    import keras

KERNELS = {"": (3, 3), "_row": (1, 3), "_column": (3, 1)}  # suffix of a branch's name -> size of its kernel


@dataclass(frozen=True, kw_only=True)
class BranchedConvolution(Convolution):
    """A 3x3 convolution as the sum of a 3x3, a 1x3 and a 3x1 convolution, each with batch normalization."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        def branch(suffix: str, kernel: tuple[int, int]) -> Any:
            name = self.name + suffix
            convolution = layers.Conv2D(
                self.channels, kernel, self.stride, padding=self.padding, use_bias=False, name=name
            )
            return normalization(name=f"{name}_norm")(convolution(*inputs))

        x = layers.Add(name=f"{self.name}_sum")([branch(*each) for each in KERNELS.items()])
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x


def branched(graph: Graph) -> Graph:
    """Return a network in which every 3x3 convolution with batch normalization has branches."""
    return graph.with_layers({layer.name: BranchedConvolution(**vars(layer)) for layer in _branching(graph)})


def finished(graph: Graph, weights: Sequence[np.ndarray]) -> keras.Model:
    """Build a network from the weights of its branched form, in Keras's order."""
    trained, model = branched(graph).to_keras(), graph.to_keras()
    trained.set_weights(weights)
    names = [layer.name for layer in _branching(graph)]
    folding.copy_weights(trained, model, names)
    for name in names:
        folding.set_folded(model, name, *_folded_branches(trained, name))
    return model


def _branching(graph: Graph) -> list[Convolution]:
    """Return the convolutions that get branches."""
    return [each for each in folding.normalized(graph).values() if each.kernel == 3 and each.groups == 1]


def _folded_branches(model: keras.Model, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the 3x3 kernel and the offset that compute the same as the branches of a convolution."""
    kernels, offsets = [], []
    for suffix, (height, width) in KERNELS.items():
        kernel, offset = folding.folded(model, name + suffix)
        rows, columns = (3 - height) // 2, (3 - width) // 2
        kernels.append(np.pad(kernel, ((rows, rows), (columns, columns), (0, 0), (0, 0))))
        offsets.append(offset)
    return np.sum(kernels, axis=0), np.sum(offsets, axis=0)
