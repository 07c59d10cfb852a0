"""Networks as plain data: layers that know what they cost, and how Keras makes them.

A network is written once, as a ``Graph``. Its costs are read off without making a weight or importing TensorFlow,
and ``to_keras`` makes the very model they are the costs of.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]  # of one image's tensor: (height, width, channels), or (values,)

# The network sees (pixel - 128) / 64. An int8 input of scale 1/64 and zero point 0 is then pixel - 128 exactly.
PIXEL_SCALE = 1 / 64
PIXEL_OFFSET = -2.0

NORMALIZE = "normalize"
LOGITS = "logits"


@dataclass(frozen=True)
class Cost:
    """What a layer costs.

    Attributes:
        parameters: numbers it holds, as Keras counts them: batch norm's two statistics included.
        formula: how that number comes about.
        weights: numbers of its kernel.
        biases: numbers added after it; a converter folds batch norm into these and the kernel.
        macs: multiply-accumulates for one image.
    """

    parameters: int = 0
    formula: str = ""
    weights: int = 0
    biases: int = 0
    macs: int = 0


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """A layer by name; its kind says what it makes of its inputs."""

    name: str

    def shape(self, *inputs: Shape) -> Shape:
        """The shape of its output; unless a kind says otherwise, that of its first input."""
        return inputs[0]

    def cost(self, *inputs: Shape) -> Cost:
        """What it costs; nothing, unless a kind says otherwise."""
        return Cost()

    @abstractmethod
    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        """Apply it to Keras tensors; ``normalization`` is the batch normalization to use."""


@dataclass(frozen=True, kw_only=True)
class Pixels(Layer):
    """The input: images of values 0..255, of 3 channels (RGB) or 1 (gray)."""

    size: ImageSize
    channels: int

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, self.channels)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Input(self.shape(), name=self.name)


@dataclass(frozen=True, kw_only=True)
class Normalize(Layer):
    """Pixels to the values that the network works on."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Rescaling(PIXEL_SCALE, PIXEL_OFFSET, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Standardize(Layer):
    """Each image to mean 0 and standard deviation 1, over all its values."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Crop(Layer):
    """The middle of the image."""

    size: ImageSize

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, inputs[0][2])

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.CenterCrop(*self.size, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Resize(Layer):
    """Another height and width."""

    size: ImageSize

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, inputs[0][2])

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Resizing(*self.size, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """Convolution, then batch norm in place of a bias if ``norm``, then ReLU if ``relu``.

    Batch norm follows its convolution directly, so that a converter folds it.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    groups: int = 1
    norm: bool = False
    relu: bool = True

    def shape(self, *inputs: Shape) -> Shape:
        height, width, _ = inputs[0]
        return (self._steps(height), self._steps(width), self.channels)

    def _steps(self, length: int) -> int:
        """How often the kernel is applied along an axis."""
        same = self.padding == "same"
        return math.ceil(length / self.stride) if same else _windows(length, self.kernel, self.stride)

    def cost(self, *inputs: Shape) -> Cost:
        depth = inputs[0][2] // self.groups
        height, width, _ = self.shape(*inputs)
        weights = self.kernel**2 * depth * self.channels
        extra = 4 if self.norm else 1  # scale, offset and two statistics a channel, or a bias
        return Cost(
            parameters=weights + extra * self.channels,
            formula=f"({self.kernel}*{self.kernel}*{depth} + {extra})*{self.channels}",
            weights=weights,
            biases=self.channels,
            macs=weights * height * width,
        )

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        x = self._convolved(*inputs)
        if self.norm:
            x = normalization(name=f"{self.name}_norm")(x)
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x

    def _convolved(self, x: Any) -> Any:
        """Grouped as slices side by side: TensorFlow cannot train grouped kernels on a CPU."""
        from keras import layers

        def part(name: str) -> Any:
            return layers.Conv2D(
                self.channels // self.groups,
                self.kernel,
                self.stride,
                padding=self.padding,
                use_bias=not self.norm,
                # Batch norm evens out any scale; without it, He's keeps signals alive through many ReLUs.
                kernel_initializer="glorot_uniform" if self.norm else "he_normal",
                name=name,
            )

        if self.groups == 1:
            return part(self.name)(x)
        depth = x.shape[-1] // self.groups
        parts = [part(f"{self.name}_{k}")(x[..., k * depth : (k + 1) * depth]) for k in range(self.groups)]
        return layers.Concatenate(name=self.name)(parts)


@dataclass(frozen=True, kw_only=True)
class MaxPool(Layer):
    """The largest value of each window; no window reaches over the border."""

    size: int
    stride: int

    def shape(self, *inputs: Shape) -> Shape:
        height, width, channels = inputs[0]
        return (_windows(height, self.size, self.stride), _windows(width, self.size, self.stride), channels)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.MaxPooling2D(self.size, self.stride, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Concatenate(Layer):
    """Channels behind channels."""

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], sum(shape[2] for shape in inputs))

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Concatenate(name=self.name)(list(inputs))


@dataclass(frozen=True, kw_only=True)
class AddRelu(Layer):
    """The sum of tensors of one shape, then ReLU."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.ReLU(name=f"{self.name}_relu")(layers.Add(name=self.name)(list(inputs)))


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """Every value to every unit, then ReLU if ``relu``."""

    units: int
    relu: bool = True

    def shape(self, *inputs: Shape) -> Shape:
        return (self.units,)

    def cost(self, *inputs: Shape) -> Cost:
        values = math.prod(inputs[0])
        weights = values * self.units
        return Cost(weights + self.units, f"({values} + 1)*{self.units}", weights, self.units, weights)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        x = layers.Dense(self.units, name=self.name)(layers.Flatten(name=f"{self.name}_flat")(*inputs))
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x


@dataclass(frozen=True, kw_only=True)
class Dropout(Layer):
    """Forgets a share of the values while training."""

    rate: float

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Dropout(self.rate, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Average(Layer):
    """The mean over height and width."""

    def shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][2],)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.GlobalAveragePooling2D(name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Softmax(Layer):
    """Scores to probabilities."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Softmax(name=self.name)(*inputs)


@dataclass(frozen=True, eq=False)
class Node:
    """A layer in its place.

    Attributes:
        inputs: the nodes whose outputs it takes.
        shape: of its output, for one image.
    """

    layer: Layer
    inputs: tuple[Node, ...]
    shape: Shape

    def cost(self) -> Cost:
        """What the layer costs here."""
        return self.layer.cost(*(node.shape for node in self.inputs))


class Graph:
    """A network: nodes in the order they run, the last its output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []

    def add(self, layer: Layer, *inputs: Node) -> Node:
        """Put a layer behind others.

        Raises:
            EdgesqzError: nothing would be left of the image.
        """
        shape = layer.shape(*(node.shape for node in inputs))
        if min(shape) < 1:
            raise EdgesqzError(f"{self.name} needs larger images: nothing is left of them at {layer.name}")
        node = Node(layer, inputs, shape)
        self.nodes.append(node)
        return node

    def to_keras(self, normalization: Callable[..., Any] | None = None) -> keras.Model:
        """Build the Keras model, with random weights.

        Args:
            normalization: The layer class for batch normalization, by default Keras's; training passes a faster one.
        """
        import keras

        normalization = normalization or keras.layers.BatchNormalization
        tensors: dict[Node, Any] = {}
        for node in self.nodes:
            tensors[node] = node.layer.keras(normalization, *(tensors[source] for source in node.inputs))
        return keras.Model(tensors[self.nodes[0]], tensors[self.nodes[-1]], name=self.name)


def _windows(length: int, size: int, stride: int) -> int:
    """How many windows fit along an axis, none of them over the border."""
    return (length - size) // stride + 1
