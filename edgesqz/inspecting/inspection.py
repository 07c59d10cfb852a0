"""The result of an inspection."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact
from edgesqz.artifact import Artifact, Manifest
from edgesqz.errors import EdgesqzError
from edgesqz.inspecting import training
from edgesqz.results import Result
from edgesqz.tables import Column, Table, stacked
from edgesqz.training import history

if TYPE_CHECKING:
    from rich.console import Group

SHOWN_TENSORS = 12


@dataclass(frozen=True)
class Quantization:
    """``real value = scale * (stored value - zero point)``, with one pair per tensor, per channel or per block.

    Attributes:
        scales: The scale of each pair.
        zero_points: The zero point of each pair.
        axis: The axis of the channels or blocks, or None if one pair applies to the whole tensor.
        block_size: The number of values along the axis that share a pair, or None for one pair per channel.
    """

    scales: tuple[float, ...]
    zero_points: tuple[float, ...]  # floats, because those of float8 tensors are
    axis: int | None
    block_size: int | None = None

    def __str__(self) -> str:
        """Return the numbers of a single pair, or the number of pairs."""
        if self.axis is not None:
            blocks = f"blocks of {self.block_size}, " if self.block_size else ""
            return f"{len(self.scales)} scales, {blocks}axis {self.axis}"
        return f"scale {self.scales[0]:.6g}, zero point {self.zero_points[0]}"


@dataclass(frozen=True)
class Tensor:
    """An input, an output, or a tensor that the model stores.

    Attributes:
        name: The name of the tensor.
        shape: The size of each dimension, or None for a dimension of any size.
        dtype: NumPy's name of the dtype, or the format's name if NumPy has none. For an input or output that is not a
            tensor, its type, such as ``sequence(float32 3x?)``.
        quantization: How values are quantized, or None if they are not.
        size_bytes: The size of the values as the format packs them, without padding. 0 for an input or output.
        external_file: The file beside the model that stores the values, or None if the model file does.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None
    size_bytes: int = 0
    external_file: str | None = None

    @property
    def type_and_shape(self) -> str:
        """Dtype and shape, such as ``int8 1x32x32x3``."""
        return f"{self.dtype} {'x'.join('?' if size is None else str(size) for size in self.shape)}".strip()


@dataclass(frozen=True)
class ExternalFile:
    """A file beside the model file that stores the values of tensors.

    Attributes:
        name: The path in the model file, relative to its folder.
        needed_bytes: The length that the model requires.
        size_bytes: The actual length, or None if the file is missing.
    """

    name: str
    needed_bytes: int
    size_bytes: int | None

    def __str__(self) -> str:
        """Return the name, the size, and the problem if there is one."""
        if self.size_bytes is None:
            return f"{self.name} is missing ({self.needed_bytes:,} bytes)"
        short = "" if self.size_bytes >= self.needed_bytes else f", truncated: expected {self.needed_bytes:,}"
        return f"{self.name}, {self.size_bytes:,} bytes{short}"


@dataclass(frozen=True)
class Contents:
    """What a reader finds in a file. See ``Inspection``."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    parameters: int
    tensors: tuple[Tensor, ...]
    metadata: dict[str, Any]
    layers: dict[str, str] = field(default_factory=dict)
    external_files: tuple[ExternalFile, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Inspection(Result):
    """The contents of a model file.

    Attributes:
        file: The name of the file.
        format: The suffix of the file, without the dot.
        size_bytes: The size of the file.
        sha256: The SHA-256 of the file, in hexadecimal.
        inputs: The inputs in the order of the model's interface.
        outputs: The outputs in the order of the model's interface.
        operators: The number of occurrences of each operator, most frequent first. For a Keras file, of each layer.
        layers: The layers with weights, as ``export --keep-float`` names them, and their operators. Empty for formats
            whose layers get their names only when they are exported.
        parameters: The number of weights and biases, each counted once, without shapes, scales and zero points.
        tensors: The tensors that the model stores, largest first.
        external_files: Files beside the model that store the values of tensors. They are not read.
        metadata: The metadata of the file, as its format stores it.
        training: The recipe and the history of the run that trained the model, or None if its manifest has none.
        warnings: Reasons why the model may predict differently on some machines, or why its manifest is not used.
    """

    file: str
    format: str
    size_bytes: int
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    layers: dict[str, str]
    parameters: int
    tensors: tuple[Tensor, ...]
    external_files: tuple[ExternalFile, ...]
    metadata: dict[str, Any]
    training: dict[str, Any] | None
    warnings: tuple[str, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per stored tensor, largest first."""
        return [dataclasses.asdict(tensor) for tensor in self.tensors]

    def table(self) -> Group:
        """Return small tables, one below the other."""
        return stacked(
            [
                _block(f"{self.file} ({self.format})", self._summary()),
                _block("inputs", [_described(tensor) for tensor in self.inputs]),
                _block("outputs", [_described(tensor) for tensor in self.outputs]),
                _block("operators", [(name, f"{count:,}") for name, count in self.operators.items()]),
                *([_block("layers with weights", list(self.layers.items()))] if self.layers else []),
                _block("bytes by tensor", self._largest_tensors()),
                _block("metadata", list(_flat(self.metadata)) or [("none", "")]),
                *self._training_tables(),
            ]
        )

    def _training_tables(self) -> list[Table]:
        if not self.training:
            return []
        tables = [_block("training", list(training.summary(self.training)))]
        if entries := self.training.get("history"):
            tables.append(history.table(entries))
        return tables

    def _summary(self) -> list[tuple[str, str]]:
        inside = tuple(tensor for tensor in self.tensors if tensor.external_file is None)
        return [
            ("size", f"{self.size_bytes:,} bytes, of which {_size(inside):,} are values of tensors"),
            *(("external data", str(file)) for file in self.external_files),
            ("SHA-256", self.sha256),
            ("parameters", f"{self.parameters:,}"),
            *(("warning", warning) for warning in self.warnings),
        ]

    def _largest_tensors(self) -> list[tuple[str, str, str, str]]:
        shown, rest = self.tensors[:SHOWN_TENSORS], self.tensors[SHOWN_TENSORS:]
        rows = [(*_described(tensor), f"{tensor.size_bytes:>11,}") for tensor in shown]
        return [*rows, (f"{len(rest)} more (see --json)", "", "", f"{_size(rest):>11,}")] if rest else rows


def inspection(path: Path, content: bytes, found: Contents) -> Inspection:
    """Combine the findings of a reader with the facts that need no reader."""
    manifest, warnings = _manifest(path)
    return Inspection(
        file=path.name,
        format=artifact.model_suffix(path)[1:],
        size_bytes=artifact.size_bytes(path),
        sha256=artifact.sha256(content),
        inputs=found.inputs,
        outputs=found.outputs,
        operators=found.operators,
        layers=found.layers,
        parameters=found.parameters,
        tensors=tuple(sorted(found.tensors, key=lambda tensor: tensor.size_bytes, reverse=True)),
        external_files=found.external_files,
        metadata=found.metadata,
        training=manifest.training if manifest else None,
        warnings=(*found.warnings, *warnings),
    )


def _manifest(path: Path) -> tuple[Manifest | None, list[str]]:
    """Return the manifest of a file, or None and the reason why its manifest is not used."""
    try:
        return Artifact.open(path).manifest, []
    except EdgesqzError as error:
        return None, [str(error)]


def counted(names: Iterator[str]) -> dict[str, int]:
    """Count the names, most frequent first."""
    return dict(Counter(names).most_common())


def count_values(tensors: Sequence[Tensor]) -> int:
    """Return the total number of values of tensors."""
    return sum(math.prod(size or 0 for size in tensor.shape) for tensor in tensors)


def _size(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)


def _block(title: str, rows: Sequence[tuple[str, ...]]) -> Table:
    """Return a small table."""
    others = [Column(is_prose=True)] * (len(rows[0]) - 1 if rows else 0)
    return Table([Column(is_name=True), *others], rows, title)


def _described(tensor: Tensor) -> tuple[str, str, str]:
    return tensor.name, tensor.type_and_shape, str(tensor.quantization or "")


def _flat(metadata: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested metadata as rows: the path of each entry and its value."""
    for name, value in metadata.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def as_text(content: bytes | str | None) -> str:
    """Decode text that should be UTF-8. Protobuf returns bytes if it is not."""
    return content if isinstance(content, str) else (content or b"").decode("utf-8", errors="replace")
