"""The costs of a network, layer by layer: parameters, multiply-accumulates, and bytes of weights and activations.

All costs are computed from the network's graph, without creating weights or importing TensorFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models.architectures import network_graph
from edgesqz.models.graph import Convolution, Dropout, Graph, MaxPool, Node, Normalize, Shape


@dataclass(frozen=True)
class FileKind:
    """A variant of a file format.

    Attributes:
        format: Name of the format.
        variant: Name of the variant.
        bytes_per_parameter: Approximate number of bytes stored per parameter.
    """

    format: str
    variant: str
    bytes_per_parameter: float


@dataclass(frozen=True)
class Overhead:
    """The approximate size of what a file contains besides its parameters, in bytes.

    Attributes:
        file: Size of the header and the metadata.
        layer: Size per convolution or dense layer: its operators and the descriptions of their tensors.
        channel: Size per output channel of these layers: scales, zero points, and biases wider than those of int8.
    """

    file: int
    layer: int
    channel: float

    def total(self, layers: int, channels: int) -> int:
        """Return the overhead of a file with this many convolutions and dense layers, and output channels of these."""
        return self.file + self.layer * layers + round(self.channel * channels)


# Fitted to the sizes of six networks with trained weights, converted by TensorFlow 2.21, tf2onnx 1.17 and ONNX Runtime
# 1.32. Quantized ONNX files have several operators per layer, whose names are long.
OVERHEADS = {
    ("tflite", "fp32"): Overhead(2800, 415, 0),
    ("tflite", "fp16"): Overhead(2800, 700, 0),
    ("tflite", "dynamic"): Overhead(2800, 415, 10),
    ("tflite", "int8"): Overhead(2800, 415, 10.5),
    ("tflite", "int4"): Overhead(2800, 415, 10.5),
    ("tflite", "mixed"): Overhead(2800, 415, 10.5),
    ("tflite", "int16x8"): Overhead(2800, 550, 23),
    ("onnx", "fp32"): Overhead(2000, 550, 1),
    ("onnx", "fp16"): Overhead(2000, 670, 1),
    ("onnx", "dynamic"): Overhead(2000, 1800, 5),
    ("onnx", "int8"): Overhead(2000, 3220, 9),
}
UNKNOWN_OVERHEAD = OVERHEADS["tflite", "fp32"]  # for the formats of plugins


@dataclass(frozen=True)
class LayerCosts:
    """The costs of a layer, for one image.

    Attributes:
        shape: Shape of the output: (height, width, channels), or (values,).
        kernel: Height and width of the windows, such as ``3x3``, or an empty string for layers without windows.
        parameters: Number of parameters as Keras counts them, including the statistics of batch normalization.
        formula: The multiplications and additions that give the number of parameters.
        macs: Number of multiply-accumulates.
        activation_bytes: Size of the output, at one byte per value.
        fp32_bytes: Size of weights and biases as a converter stores them, with batch normalization folded in.
        fp16_bytes: The same as float16.
        int8_bytes: The same as int8, with biases as int32.
        int4_bytes: The same in an int4 file, which stores the weights of inner convolutions as int4 and others as int8.
    """

    name: str
    shape: Shape
    kernel: str
    parameters: int
    formula: str
    macs: int
    activation_bytes: int
    fp32_bytes: int
    fp16_bytes: int
    int8_bytes: int
    int4_bytes: int

    @classmethod
    def of(cls, node: Node, *, is_edge: bool = False) -> LayerCosts:
        """Return the costs of a node of a graph. The edges are its first and its last node with weights."""
        cost, layer = node.cost(), node.layer
        size = layer.kernel if isinstance(layer, Convolution) else layer.size if isinstance(layer, MaxPool) else None
        is_int4 = isinstance(layer, Convolution) and not is_edge
        return cls(
            name=layer.name,
            shape=node.shape,
            kernel=f"{size}x{size}" if size else "",
            parameters=cost.parameters,
            formula=cost.formula,
            macs=cost.macs,
            activation_bytes=math.prod(node.shape),
            fp32_bytes=4 * (cost.weights + cost.biases),
            fp16_bytes=2 * (cost.weights + cost.biases),
            int8_bytes=cost.weights + 4 * cost.biases,
            int4_bytes=(-(-cost.weights // 2) if is_int4 else cost.weights) + 4 * cost.biases,
        )


@dataclass(frozen=True)
class NetworkCosts:
    """The costs of a network.

    Attributes:
        model: Name of the network.
        input_size: Size of the input images: height and width in pixels, or WIDTHxHEIGHT.
        classes: Number of classes.
        layers: Costs of the layers, in the order in which they run.
        parameters: Number of parameters, as Keras's ``count_params``.
        channels: Number of output channels of all convolutions and dense layers.
        macs: Number of multiply-accumulates for one image.
        fp32_bytes: Size of all weights and biases.
        fp16_bytes: The same as float16.
        int8_bytes: The same as int8, with biases as int32.
        int4_bytes: The same in an int4 file, which stores the weights of inner convolutions as int4 and others as int8.
        tflite_fp32_bytes: Size of the fp32 .tflite file, estimated within a few percent.
        tflite_int8_bytes: Size of the int8 .tflite file, estimated within a few percent.
        tflite_int4_bytes: Size of the int4 .tflite file, estimated within a few percent.
        peak_activation_bytes: Peak size of the tensors of the int8 graph that are needed at the same time.
    """

    model: str
    input_size: int | str
    classes: int
    layers: tuple[LayerCosts, ...]
    parameters: int
    channels: int
    macs: int
    fp32_bytes: int
    fp16_bytes: int
    int8_bytes: int
    int4_bytes: int
    tflite_fp32_bytes: int
    tflite_int8_bytes: int
    tflite_int4_bytes: int
    peak_activation_bytes: int

    def file_bytes(self, kind: FileKind) -> int:
        """Estimate the size of a file."""
        overhead = OVERHEADS.get((kind.format, kind.variant), UNKNOWN_OVERHEAD)
        layers = sum(layer.parameters > 0 for layer in self.layers)
        return self._parameter_bytes(kind.bytes_per_parameter) + overhead.total(layers, self.channels)

    def _parameter_bytes(self, bytes_per_parameter: float) -> int:
        if bytes_per_parameter < 1:
            return self.int4_bytes
        return self.int8_bytes if bytes_per_parameter == 1 else round(bytes_per_parameter / 4 * self.fp32_bytes)


def network_costs(model: str, *, classes: int | None = None, input_size: ImageSizeLike | None = None) -> NetworkCosts:
    """Compute the costs of a network.

    Args:
        model: A name in ``edgesqz.models.ARCHITECTURES``.
        classes: Number of classes, or None for the number that the network was designed for.
        input_size: Size of the input images, or None for the size that the network was designed for.

    Raises:
        EdgesqzError: The model is unknown, there are fewer than two classes, or the images are too small.
    """
    graph = network_graph(model, classes=classes, input_size=input_size)
    weighted = [node for node in graph.nodes if node.cost().weights]
    layers = tuple(
        LayerCosts.of(node, is_edge=node in (weighted[0], weighted[-1]))
        for node in graph.nodes
        if not _is_removed(node)
    )
    fp32_bytes, int8_bytes, int4_bytes = (
        sum(getattr(layer, name) for layer in layers) for name in ("fp32_bytes", "int8_bytes", "int4_bytes")
    )
    channels = sum(node.cost().biases for node in weighted)
    overheads = {
        variant: OVERHEADS["tflite", variant].total(len(weighted), channels) for variant in ("fp32", "int8", "int4")
    }
    return NetworkCosts(
        model=model,
        input_size=ImageSize(*graph.nodes[0].shape[:2]).plain,
        classes=graph.nodes[-1].shape[-1],
        layers=layers,
        parameters=sum(layer.parameters for layer in layers),
        channels=channels,
        macs=sum(layer.macs for layer in layers),
        fp32_bytes=fp32_bytes,
        fp16_bytes=fp32_bytes // 2,
        int8_bytes=int8_bytes,
        int4_bytes=int4_bytes,
        tflite_fp32_bytes=fp32_bytes + overheads["fp32"],
        tflite_int8_bytes=int8_bytes + overheads["int8"],
        tflite_int4_bytes=int4_bytes + overheads["int4"],
        peak_activation_bytes=peak_activation_bytes(graph),
    )


def peak_activation_bytes(graph: Graph) -> int:
    """Return the peak size of the tensors that are needed at the same time, at one byte per value.

    The nodes run one after another. A tensor is needed from the node that computes it to the last node that reads it.
    The inputs and the output of a node are needed at the same time.
    """
    nodes = [node for node in graph.nodes if not _is_removed(node)]
    last_use = {source: index for index, node in enumerate(nodes) for source in map(_tensor_source, node.inputs)}
    peak, live = 0, set[Node]()
    for index, node in enumerate(nodes):
        live.add(node)
        peak = max(peak, sum(math.prod(tensor.shape) for tensor in live))
        live = {tensor for tensor in live if last_use.get(tensor, -1) > index}
    return peak


def _is_removed(node: Node) -> bool:
    """Return whether the int8 graph lacks a node: its input performs the normalization, and there is no dropout."""
    return isinstance(node.layer, Normalize | Dropout)


def _tensor_source(node: Node) -> Node:
    """Return the node whose tensor an input is in the int8 graph."""
    return _tensor_source(node.inputs[0]) if _is_removed(node) else node
