"""The result of ``params``: the costs of networks, layer by layer or side by side."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqz import plotting
from edgesqz.image_size import ImageSize
from edgesqz.models.costs import LayerCosts, NetworkCosts
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.workspace import write_file
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True, repr=False)
class ParamsResult(Result):
    """The costs of networks. Iterate over it or index it to get the costs of each network.

    Attributes:
        networks: Costs of the networks.
        compare: Whether to show the networks side by side instead of layer by layer.
        max_size_bytes: Limit to compare the sizes of the .tflite files with, or None if there is no limit.
    """

    networks: tuple[NetworkCosts, ...]
    compare: bool = False
    max_size_bytes: int | None = None

    def __iter__(self) -> Iterator[NetworkCosts]:
        """Iterate over the networks."""
        return iter(self.networks)

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self.networks)

    def __getitem__(self, index: int) -> NetworkCosts:
        """Return the costs of a network."""
        return self.networks[index]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per network, without its layers, or per layer of a single network that is not compared."""
        if not self.compare:
            return [dataclasses.asdict(layer) for network in self for layer in network.layers]
        totals = map(dataclasses.asdict, self)
        return [{name: value for name, value in each.items() if name != "layers"} for each in totals]

    def to_json(self) -> str:
        """Return the costs as JSON text: the totals of each network, or all layers of a single one."""
        facts = {"models": self.records} if self.compare else dataclasses.asdict(self[0])
        return json.dumps({**facts, "max_size_bytes": self.max_size_bytes}, indent=2) + "\n"

    def table(self) -> Table:
        """Return one row per network, or per layer of a single one."""
        return self._comparison() if self.compare else self._layers(self[0])

    def _layers(self, network: NetworkCosts) -> Table:
        sizes = (_scaled(size, 1e3) for size in _weight_sizes(network))
        total = ["total", "", "", f"{network.parameters:,}", "", _scaled(network.macs, 1e6), "", *sizes]
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
                Column("int4\nkB", "right"),
            ],
            [*map(_layer_cells, network.layers), None, total],
            f"{network.model}, {network.classes} classes, {ImageSize.parse(network.input_size)} pixels",
            "\n".join(self._summary(network)),
        )

    def _summary(self, network: NetworkCosts) -> Iterator[str]:
        yield (
            f"estimated .tflite files: {format_size(network.tflite_fp32_bytes)} as fp32, "
            f"{format_size(network.tflite_int8_bytes)} as int8, {format_size(network.tflite_int4_bytes)} as int4; "
            "peak activations of the int8 graph: "
            f"{format_size(network.peak_activation_bytes)}"
        )
        if size := self.max_size_bytes:
            yield (
                f"of {format_size(size)}, the int8 file takes {network.tflite_int8_bytes / size:.1%}, the fp32 file "
                f"{network.tflite_fp32_bytes / size:.1%}, the int4 file {network.tflite_int4_bytes / size:.1%}"
            )

    def _comparison(self) -> Table:
        caption = "sizes of .tflite files are estimates"
        if size := self.max_size_bytes:
            shares = (f"{network.model} {network.tflite_int8_bytes / size:.1%}" for network in self)
            caption += f"; of {format_size(size)}, the int8 file takes: {', '.join(shares)}"
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
                Column("int4\n.tflite", "right"),
                Column("activations\nint8", "right", rank=2),
            ],
            [_network_cells(network, self[0]) for network in self],
            caption=caption,
        )

    def plot(self, path: str | Path) -> None:
        """Draw the estimated file sizes as bars on a logarithmic scale, into a .png or .svg file.

        Raises:
            EdgesqzError: matplotlib is missing, the suffix is unknown, or the file cannot be written.
        """
        figure, axes = plotting.figure(height=1.2 + 0.8 * len(self))
        for offset, (kind, color) in enumerate((("fp32", "#9db4c0"), ("int8", "#1f6f8b"), ("int4", "#0b3954"))):
            sizes = [getattr(network, f"tflite_{kind}_bytes") / 1000 for network in self]
            positions = [position + 0.28 * offset for position in range(len(self))]
            bars = axes.barh(positions, sizes, height=0.26, color=color, label=f"{kind} .tflite")
            axes.bar_label(bars, [format_size(round(1000 * size)) for size in sizes], padding=3, fontsize=8)
        axes.set_yticks([position + 0.28 for position in range(len(self))], [network.model for network in self])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.2)
        plotting.plain_numbers(axes)
        axes.set_xlabel("estimated size in kB, logarithmic")
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        write_file(Path(path), plotting.encode(figure, Path(path)))


def _layer_cells(layer: LayerCosts) -> list[str]:
    return [
        layer.name,
        "x".join(map(str, layer.shape)),
        layer.kernel,
        f"{layer.parameters:,}" if layer.parameters else "",
        layer.formula,
        _scaled(layer.macs, 1e6),
        _scaled(layer.activation_bytes, 1e3),
        *(_scaled(size, 1e3) for size in _weight_sizes(layer)),
    ]


def _weight_sizes(costs: LayerCosts | NetworkCosts) -> tuple[int, int, int, int]:
    return costs.fp32_bytes, costs.fp16_bytes, costs.int8_bytes, costs.int4_bytes


def _network_cells(network: NetworkCosts, first: NetworkCosts) -> list[str]:
    """Return the cells of a network, with ratios to the first one."""
    return [
        network.model,
        str(ImageSize.parse(network.input_size)),
        str(network.classes),
        f"{network.parameters:,}",
        f"{network.parameters / first.parameters:.4g}",
        f"{network.macs / 1e6:,.1f} M",
        f"{network.macs / first.macs:.4g}",
        format_size(network.tflite_fp32_bytes),
        format_size(network.tflite_int8_bytes),
        format_size(network.tflite_int4_bytes),
        format_size(network.peak_activation_bytes),
    ]


def _scaled(number: int, unit: float) -> str:
    """Return a number in the unit of its column, with as many digits as fit, or an empty cell for 0."""
    value = number / unit
    return "" if not number else f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
