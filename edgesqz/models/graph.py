"""Networks as plain data: layers that know their costs and how to build themselves in Keras.

A network is defined once, as a ``Graph``. Its costs are computed without creating weights or importing TensorFlow, and
``to_keras`` builds the model with exactly these costs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]  # shape of a tensor for one image: (height, width, channels) or (values,)

# The network works on (pixel - 128) / 64, so an int8 input with scale 1/64 and zero point 0 is exactly pixel - 128.
PIXEL_SCALE = 1 / 64
PIXEL_OFFSET = -2.0

NORMALIZE = "normalize"
LOGITS = "logits"


@dataclass(frozen=True)
class Cost:
    """The costs of a layer.

    Attributes:
        parameters: Number of parameters as Keras counts them, including the two statistics of batch normalization.
        formula: How the number of parameters is calculated.
        weights: Number of weights in the kernel.
        biases: Number of biases after a converter has folded batch normalization into kernel and biases.
        macs: Multiply-accumulate operations for one image.
    """

    parameters: int = 0
    formula: str = ""
    weights: int = 0
    biases: int = 0
    macs: int = 0


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """A layer. Subclasses define what it computes.

    Attributes:
        name: Name of the layer in Keras.
    """

    name: str

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of its Keras layers that have a kernel; none by default."""
        return ()

    def shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the output; by default, the shape of the first input."""
        return inputs[0]

    def cost(self, *inputs: Shape) -> Cost:
        """Return the costs of the layer; by default, none."""
        return Cost()

    @abstractmethod
    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        """Apply the layer to Keras tensors. ``normalization`` is the layer class for batch normalization."""


@dataclass(frozen=True, kw_only=True)
class Pixels(Layer):
    """The input: images with values 0..255 and three channels (RGB) or one (grayscale)."""

    size: ImageSize
    channels: int

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, self.channels)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Input(self.shape(), name=self.name)


@dataclass(frozen=True, kw_only=True)
class Normalize(Layer):
    """Scale pixels to the values that the network works on."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Rescaling(PIXEL_SCALE, PIXEL_OFFSET, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Standardize(Layer):
    """Scale each image to mean 0 and standard deviation 1 over all its values."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Crop(Layer):
    """Crop the center of the image."""

    size: ImageSize

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, inputs[0][2])

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.CenterCrop(*self.size, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Resize(Layer):
    """Resize the image."""

    size: ImageSize

    def shape(self, *inputs: Shape) -> Shape:
        return (*self.size, inputs[0][2])

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Resizing(*self.size, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """A convolution, with batch normalization instead of a bias if ``norm``, and with ReLU if ``relu``.

    Batch normalization directly follows the convolution, so that converters can fold it.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    groups: int = 1
    norm: bool = False
    relu: bool = True

    @property
    def kernels(self) -> tuple[str, ...]:
        """Its own name, or a name for each group."""
        return (self.name,) if self.groups == 1 else tuple(f"{self.name}_{k}" for k in range(self.groups))

    def shape(self, *inputs: Shape) -> Shape:
        height, width, _ = inputs[0]
        return (self._steps(height), self._steps(width), self.channels)

    def _steps(self, length: int) -> int:
        """Return how many times the kernel is applied along an axis."""
        same = self.padding == "same"
        return math.ceil(length / self.stride) if same else _windows(length, self.kernel, self.stride)

    def cost(self, *inputs: Shape) -> Cost:
        depth = inputs[0][2] // self.groups
        height, width, _ = self.shape(*inputs)
        weights = self.kernel**2 * depth * self.channels
        extra = 4 if self.norm else 1  # per channel: scale, offset and two statistics, or a bias
        return Cost(
            parameters=weights + extra * self.channels,
            formula=f"({self.kernel}*{self.kernel}*{depth} + {extra})*{self.channels}",
            weights=weights,
            biases=self.channels,
            macs=weights * height * width,
        )

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        x = self._convolve(*inputs)
        if self.norm:
            x = normalization(name=f"{self.name}_norm")(x)
        return layers.ReLU(name=f"{self.name}_relu")(x) if self.relu else x

    def _convolve(self, x: Any) -> Any:
        """Apply one kernel to each group of channels, because TensorFlow cannot train grouped kernels on a CPU."""
        from keras import layers

        def part(name: str) -> Any:
            return layers.Conv2D(
                self.channels // self.groups,
                self.kernel,
                self.stride,
                padding=self.padding,
                use_bias=not self.norm,
                # Batch normalization evens out any scale; without it, He initialization keeps signals alive.
                kernel_initializer="glorot_uniform" if self.norm else "he_normal",
                name=name,
            )

        if self.groups == 1:
            return part(self.name)(x)
        depth = x.shape[-1] // self.groups
        parts = [part(name)(x[..., k * depth : (k + 1) * depth]) for k, name in enumerate(self.kernels)]
        return layers.Concatenate(name=self.name)(parts)


@dataclass(frozen=True, kw_only=True)
class MaxPool(Layer):
    """Take the maximum of each window. Windows do not extend beyond the border."""

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
    """Concatenate the channels of the inputs."""

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], sum(shape[2] for shape in inputs))

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Concatenate(name=self.name)(list(inputs))


@dataclass(frozen=True, kw_only=True)
class AddRelu(Layer):
    """Add inputs of the same shape, then apply ReLU."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.ReLU(name=f"{self.name}_relu")(layers.Add(name=self.name)(list(inputs)))


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """A fully connected layer, with ReLU if ``relu``."""

    units: int
    relu: bool = True

    @property
    def kernels(self) -> tuple[str, ...]:
        """Its own name."""
        return (self.name,)

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
    """Set a random share of the values to zero during training."""

    rate: float

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Dropout(self.rate, name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Average(Layer):
    """Average over height and width."""

    def shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][2],)

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.GlobalAveragePooling2D(name=self.name)(*inputs)


@dataclass(frozen=True, kw_only=True)
class Softmax(Layer):
    """Turn logits into probabilities."""

    def keras(self, normalization: Callable[..., Any], *inputs: Any) -> Any:
        from keras import layers

        return layers.Softmax(name=self.name)(*inputs)


@dataclass(frozen=True, eq=False)
class Node:
    """A layer within a network.

    Attributes:
        layer: The layer.
        inputs: Nodes whose outputs are the inputs of the layer.
        shape: Shape of the output for one image.
    """

    layer: Layer
    inputs: tuple[Node, ...]
    shape: Shape

    def cost(self) -> Cost:
        """Return the costs of the layer for these inputs."""
        return self.layer.cost(*(node.shape for node in self.inputs))


class Graph:
    """A network: nodes in execution order, the last of which is the output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []

    def add(self, layer: Layer, *inputs: Node) -> Node:
        """Add a layer to the network.

        Args:
            layer: The layer to add.
            inputs: Nodes whose outputs are the inputs of the layer.

        Returns:
            The new node.

        Raises:
            EdgesqzError: The images are too small for the layer.
        """
        shape = layer.shape(*(node.shape for node in inputs))
        if min(shape) < 1:
            raise EdgesqzError(f"{self.name} needs larger images: nothing is left of them at {layer.name}")
        node = Node(layer, inputs, shape)
        self.nodes.append(node)
        return node

    def with_layers(self, layers: Mapping[str, Layer]) -> Graph:
        """Return a copy in which some layers, by name, are replaced by others of the same shape."""
        copy, nodes = Graph(self.name), dict[Node, Node]()
        for node in self.nodes:
            layer = layers.get(node.layer.name, node.layer)
            nodes[node] = copy.add(layer, *(nodes[source] for source in node.inputs))
        return copy

    def to_keras(self, normalization: Callable[..., Any] | None = None) -> keras.Model:
        """Build the Keras model, with random weights.

        Args:
            normalization: Layer class for batch normalization, by default Keras's own. Training uses a faster one.
        """
        import keras

        normalization = normalization or keras.layers.BatchNormalization
        tensors: dict[Node, Any] = {}
        for node in self.nodes:
            tensors[node] = node.layer.keras(normalization, *(tensors[source] for source in node.inputs))
        return keras.Model(tensors[self.nodes[0]], tensors[self.nodes[-1]], name=self.name)


def _windows(length: int, size: int, stride: int) -> int:
    """Return how many windows fit along an axis without extending beyond the border."""
    return (length - size) // stride + 1
