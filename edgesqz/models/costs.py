"""What a network costs, layer by layer: parameters, multiply-accumulates, bytes of weights and of activations.

Everything is read off the network's graph: no weight is made and TensorFlow is not imported.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqz import plotting
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models.architectures import SqueezeNetModel, architecture
from edgesqz.models.graph import Convolution, Dropout, Graph, MaxPool, Node, Normalize, Shape
from edgesqz.tables import Column, Table
from edgesqz.workspace.sizes import format_size, parse_quota

# Bytes of a .tflite file beside its numbers, measured on what TensorFlow 2.21 exports and the converter packs: a head
# with the metadata, then for each convolution or dense layer its operator and its tensors' descriptions. Per-channel
# quantization adds a float32 scale a channel to kernel and bias each, and int64 zero points, stored once for all
# layers of one width.
TFLITE_HEAD_BYTES = 2800
TFLITE_LAYER_BYTES = 415
TFLITE_SCALE_BYTES = 2 * 4
TFLITE_ZERO_POINT_BYTES = 8


@dataclass(frozen=True)
class LayerCosts:
    """A layer and what it costs, for one image.

    Attributes:
        shape: of its output: (height, width, channels), or (values,).
        kernel: height and width of its windows, such as ``3x3``; empty if it has none.
        parameters: as Keras counts them: batch norm's statistics included.
        formula: how that number comes about.
        macs: multiply-accumulates.
        activation_bytes: of its output, at one byte a value.
        fp32_bytes: of its weights and biases as a converter stores them, batch norm folded.
        fp16_bytes: the same as float16.
        int8_bytes: the same as int8, biases as int32.
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

    @classmethod
    def of(cls, node: Node) -> LayerCosts:
        """Read them off a node of a graph."""
        cost, layer = node.cost(), node.layer
        size = layer.kernel if isinstance(layer, Convolution) else layer.size if isinstance(layer, MaxPool) else None
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
        )


@dataclass(frozen=True)
class Params:
    """A network and what it costs.

    Attributes:
        model: its name.
        input_size: of the images it works on: a square's side in pixels, or WIDTHxHEIGHT.
        classes: it tells apart.
        layers: its layers, in the order they run.
        parameters: of all layers; as Keras's ``count_params``.
        macs: multiply-accumulates for one image.
        fp32_bytes: of all weights and biases.
        fp16_bytes: the same as float16.
        int8_bytes: the same as int8, biases as int32.
        tflite_fp32_bytes: what the fp32 .tflite file will have, within a few percent.
        tflite_int8_bytes: what the int8 .tflite file will have, within a few percent.
        peak_activation_bytes: the most that the tensors of the int8 graph need at one time.
        quota_bytes: what the int8 file is held against; None for nothing.
    """

    model: str
    input_size: int | str
    classes: int
    layers: tuple[LayerCosts, ...]
    parameters: int
    macs: int
    fp32_bytes: int
    fp16_bytes: int
    int8_bytes: int
    tflite_fp32_bytes: int
    tflite_int8_bytes: int
    peak_activation_bytes: int
    quota_bytes: int | None = None

    def to_json(self) -> str:
        """The figures as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def table(self) -> Table:
        """A row a layer, then the totals."""
        rows: list[list[str] | None] = [
            [
                layer.name,
                "x".join(map(str, layer.shape)),
                layer.kernel,
                f"{layer.parameters:,}" if layer.parameters else "",
                layer.formula,
                _scaled(layer.macs, 1e6),
                _scaled(layer.activation_bytes, 1e3),
                _scaled(layer.fp32_bytes, 1e3),
                _scaled(layer.fp16_bytes, 1e3),
                _scaled(layer.int8_bytes, 1e3),
            ]
            for layer in self.layers
        ]
        sizes = (_scaled(size, 1e3) for size in (self.fp32_bytes, self.fp16_bytes, self.int8_bytes))
        total = ["total", "", "", f"{self.parameters:,}", "", _scaled(self.macs, 1e6), "", *sizes]
        return Table(
            [
                Column("layer", is_name=True),
                Column("output", rank=1),
                Column("kernel", rank=4),
                Column("parameters", "right"),
                Column("formula", "right", rank=5),
                Column("MACs\nM", "right"),
                Column("tensor\nkB", "right", rank=2),
                Column("fp32\nkB", "right"),
                Column("fp16\nkB", "right", rank=3),
                Column("int8\nkB", "right"),
            ],
            [*rows, None, total],
            f"{self.model}, {self.classes} classes, {ImageSize.parse(self.input_size)} pixels",
            self._summary(),
        )

    def _summary(self) -> str:
        lines = [
            f"as .tflite about {format_size(self.tflite_fp32_bytes)} fp32, {format_size(self.tflite_int8_bytes)} int8; "
            f"activations of the int8 graph need {format_size(self.peak_activation_bytes)} at most"
        ]
        if self.quota_bytes:
            lines += [
                f"the int8 file takes {self.tflite_int8_bytes / self.quota_bytes:.1%} of the quota of "
                f"{format_size(self.quota_bytes)}, the fp32 file {self.tflite_fp32_bytes / self.quota_bytes:.1%}"
            ]
        return "\n".join(lines)


def params(
    model: str = "squeezenet",
    *,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    quota: str | int | None = None,
) -> Params:
    """Count what a network costs.

    Args:
        model: a name in ``edgesqz.models.ARCHITECTURES``.
        classes: to tell apart; None for as many as the network was made for.
        input_size: of the images; None for what the network was made for.
        quota: bytes to hold the int8 file against, as a number or as text such as ``2MB``.

    Raises:
        EdgesqzError: an unknown model, an image too small for it, a quota that is no size.
    """
    plan = architecture(model)
    size = ImageSize.parse(plan.side if input_size is None else input_size)
    classes = plan.classes if classes is None else classes
    graph = SqueezeNetModel(size, size, classes, model).graph()
    layers = tuple(LayerCosts.of(node) for node in graph.nodes if not _is_nothing(node))
    fp32_bytes, int8_bytes = (sum(getattr(layer, name) for layer in layers) for name in ("fp32_bytes", "int8_bytes"))
    described = TFLITE_HEAD_BYTES + TFLITE_LAYER_BYTES * sum(node.cost().weights > 0 for node in graph.nodes)
    widths = [node.cost().biases for node in graph.nodes]
    quantized = TFLITE_SCALE_BYTES * sum(widths) + TFLITE_ZERO_POINT_BYTES * sum(set(widths))
    return Params(
        model=model,
        input_size=size.plain,
        classes=classes,
        layers=layers,
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        fp32_bytes=fp32_bytes,
        fp16_bytes=fp32_bytes // 2,
        int8_bytes=int8_bytes,
        tflite_fp32_bytes=fp32_bytes + described,
        tflite_int8_bytes=int8_bytes + described + quantized,
        peak_activation_bytes=peak_activation_bytes(graph),
        quota_bytes=parse_quota(quota),
    )


def peak_activation_bytes(graph: Graph) -> int:
    """The most bytes that tensors of one byte a value need at one time, the nodes run in their order.

    A tensor lives from the node that makes it to the last that takes it; a node's inputs and output live together.
    """
    made = [node for node in graph.nodes if not _is_nothing(node)]
    last_use = {source: place for place, node in enumerate(made) for source in map(_maker, node.inputs)}
    peak, living = 0, set[Node]()
    for place, node in enumerate(made):
        living.add(node)
        peak = max(peak, sum(math.prod(tensor.shape) for tensor in living))
        living = {tensor for tensor in living if last_use.get(tensor, -1) > place}
    return peak


@dataclass(frozen=True)
class Comparison:
    """Networks side by side; ratios are to the first."""

    models: tuple[Params, ...]

    def to_json(self) -> str:
        """The figures as JSON text, without the layers."""
        return json.dumps({"models": [_totals(params) for params in self.models]}, indent=2) + "\n"

    def table(self) -> Table:
        """A row a network."""
        first, caption = self.models[0], ""
        if quota := first.quota_bytes:
            shares = (f"{params.model} {params.tflite_int8_bytes / quota:.1%}" for params in self.models)
            caption = f"of the quota of {format_size(quota)} the int8 file takes: {', '.join(shares)}"
        return Table(
            [
                Column("model", is_name=True),
                Column("pixels", rank=3),
                Column("classes", "right", rank=4),
                Column("parameters", "right"),
                Column("ratio", "right"),
                Column("MACs", "right"),
                Column("ratio", "right", rank=1),
                Column("fp32\n.tflite", "right"),
                Column("int8\n.tflite", "right"),
                Column("activations\nint8", "right", rank=2),
            ],
            [
                [
                    params.model,
                    str(ImageSize.parse(params.input_size)),
                    str(params.classes),
                    f"{params.parameters:,}",
                    f"{params.parameters / first.parameters:.4g}",
                    f"{params.macs / 1e6:,.1f} M",
                    f"{params.macs / first.macs:.4g}",
                    format_size(params.tflite_fp32_bytes),
                    format_size(params.tflite_int8_bytes),
                    format_size(params.peak_activation_bytes),
                ]
                for params in self.models
            ],
            caption=caption,
        )

    def plot(self, path: Path) -> None:
        """Draw the sizes as bars into an image file, .png or .svg, on a logarithmic scale.

        Raises:
            EdgesqzError: matplotlib is missing, the suffix is none it knows, or the disk refuses.
        """
        figure, axes = plotting.figure(height=1.2 + 0.6 * len(self.models))
        for offset, (kind, color) in enumerate((("fp32", "#9db4c0"), ("int8", "#1f6f8b"))):
            sizes = [getattr(params, f"tflite_{kind}_bytes") / 1000 for params in self.models]
            places = [place + 0.38 * offset for place in range(len(self.models))]
            bars = axes.barh(places, sizes, height=0.36, color=color, label=f"{kind} .tflite")
            axes.bar_label(bars, [format_size(round(1000 * size)) for size in sizes], padding=3, fontsize=8)
        axes.set_yticks([place + 0.19 for place in range(len(self.models))], [params.model for params in self.models])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.2)
        plotting.plain_numbers(axes)
        axes.set_xlabel("kB, logarithmic")
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        plotting.save(figure, path)


def compare(
    models: Sequence[str],
    *,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    quota: str | int | None = None,
) -> Comparison:
    """Count what several networks cost; arguments as for ``params``."""
    return Comparison(tuple(params(model, classes=classes, input_size=input_size, quota=quota) for model in models))


def _totals(params: Params) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(params).items() if name != "layers"}


def _is_nothing(node: Node) -> bool:
    """Whether a node is gone from the int8 graph: the input's scale normalizes, and nothing drops out."""
    return isinstance(node.layer, Normalize | Dropout)


def _maker(node: Node) -> Node:
    """The node whose tensor a node that is nothing hands on."""
    return _maker(node.inputs[0]) if _is_nothing(node) else node


def _scaled(number: int, unit: float) -> str:
    """A number in its column's unit, with as many digits as fit; nothing for nothing."""
    value = number / unit
    return "" if not number else f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
