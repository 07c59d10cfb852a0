"""Read .tflite files with the schema that ships with LiteRT, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgesqz.inspecting.inspection import Contents, Quantization, Tensor, as_text, count_values, counted
from edgesqz.tflite import metadata
from edgesqz.tflite.operators import WEIGHTED

_Table = TypeVar("_Table")

MAX_TABLES = 1_000_000  # the limit of FlatBuffers' own verifier
BYTES_PER_TABLE = 8  # minimum size of a table: its offset, and the offset of its fields


def operators(content: bytes) -> dict[str, int]:
    """Count the operators in a .tflite file by their names in TFLite's schema, most frequent first."""
    return _Tflite(content).operators()


def macs(content: bytes) -> int:
    """Count the multiply-accumulates of a .tflite file for one image, in convolutions and dense layers."""
    return _Tflite(content).macs()


class _Tflite:
    """The tables of a .tflite file. Their number is limited, because a damaged file can refer to billions of tables."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        if content[4:8] != b"TFL3":
            raise ValueError("its bytes 4 to 8 are not TFL3")
        self._schema = schema
        self._tables_left = min(len(content) // BYTES_PER_TABLE, MAX_TABLES)
        self.model = schema.Model.GetRootAs(content, 0)
        self._codes = self.all(self.model.OperatorCodesLength(), self.model.OperatorCodes)
        self.buffers = self.all(self.model.BuffersLength(), self.model.Buffers)
        self.graphs = self.all(self.model.SubgraphsLength(), self.model.Subgraphs)

    def all(self, count: int, table: Callable[[int], _Table]) -> list[_Table]:
        """Read the tables of a vector."""
        self._tables_left -= count
        if self._tables_left < 0:
            raise ValueError("it refers to more tables than it can contain")
        return [table(number) for number in range(count)]

    def inputs_and_outputs(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the inputs and outputs of the first graph, the one that runs, under their names in its signature."""
        graph, names = self.graphs[0], self._signature_names()
        return (
            tuple(self._end(graph, int(number), names) for number in _numbers(graph.InputsAsNumpy())),
            tuple(self._end(graph, int(number), names) for number in _numbers(graph.OutputsAsNumpy())),
        )

    def _end(self, graph: Any, number: int, names: Mapping[int, str]) -> Tensor:
        tensor = self._tensor(graph.Tensors(number))
        return replace(tensor, name=names.get(number, tensor.name))

    def _signature_names(self) -> dict[int, str]:
        signatures = self.all(self.model.SignatureDefsLength(), self.model.SignatureDefs)
        entries = [
            entry
            for each in signatures
            if each.SubgraphIndex() == 0
            for entry in (*self.all(each.InputsLength(), each.Inputs), *self.all(each.OutputsLength(), each.Outputs))
        ]
        return {entry.TensorIndex(): as_text(entry.Name()) for entry in entries}

    def operators(self) -> dict[str, int]:
        """Count the operators."""
        names = [self._operator(code) for code in self._codes]
        used = [op for graph in self.graphs for op in self.all(graph.OperatorsLength(), graph.Operators)]
        return counted(names[op.OpcodeIndex()] for op in used)

    def weighted_layers(self) -> dict[str, str]:
        """Return the names of stored kernels, by which LiteRT's quantizer knows their layers, and the operators."""
        graph = self.graphs[0]
        found: dict[str, str] = {}
        for op in self.all(graph.OperatorsLength(), graph.Operators):
            kind = self._operator(self._codes[op.OpcodeIndex()])
            if kind in WEIGHTED and self._stored_bytes((kernel := graph.Tensors(op.Inputs(1))).Buffer()):
                found.setdefault(as_text(kernel.Name()), kind)
        return found

    def macs(self) -> int:
        """Count the multiply-accumulates of the first graph, the one that runs."""
        graph, total = self.graphs[0], 0
        for op in self.all(graph.OperatorsLength(), graph.Operators):
            if self._operator(self._codes[op.OpcodeIndex()]) in WEIGHTED:
                weights = _numbers(graph.Tensors(op.Inputs(1)).ShapeAsNumpy())
                output = _numbers(graph.Tensors(op.Outputs(0)).ShapeAsNumpy())
                total += math.prod(weights) * math.prod(output[1:-1])
        return total

    def stored(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the tensors that the file stores, one per buffer, and those of them that are parameters."""
        found: dict[int, Tensor] = {}
        scales = set[int]()
        for graph in self.graphs:
            tables = self.all(graph.TensorsLength(), graph.Tensors)
            for table in tables:
                scales |= {pair.Buffer() for pair in self._block_tensors(table, tables)}
                number, size = table.Buffer(), self._stored_bytes(table.Buffer())
                if size and (number not in found or not found[number].quantization):
                    found[number] = self._tensor(table, size, tables)
        # Shapes and axes, which operators also take as tensors, are integers without a scale.
        parameters = [t for n, t in found.items() if n not in scales and (t.quantization or "float" in t.dtype)]
        return list(found.values()), parameters

    def metadata(self) -> dict[str, bytes]:
        """Return the entries of the metadata by name."""
        entries = self.all(self.model.MetadataLength(), self.model.Metadata)
        return {as_text(entry.Name()): bytes(_numbers(self.buffers[entry.Buffer()].DataAsNumpy())) for entry in entries}

    def _stored_bytes(self, number: int) -> int:
        buffer = self.buffers[number]
        return int(buffer.DataLength() or buffer.Size())  # a file over 2 GB stores them after its flatbuffer

    def _operator(self, code: Any) -> str:
        # Codes above 127 were added later, in a separate field.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _name(self._schema.BuiltinOperator, number)
        return as_text(code.CustomCode()) if name == "CUSTOM" else name

    def _blocks(self, table: Any) -> Any | None:
        """Return the blockwise quantization of a tensor, or None if there is none."""
        quantization = table.Quantization()
        if not quantization or quantization.DetailsType() != self._schema.QuantizationDetails.BlockwiseQuantization:
            return None
        details, blocks = quantization.Details(), self._schema.BlockwiseQuantization()
        blocks.Init(details.Bytes, details.Pos)
        return blocks

    def _block_tensors(self, table: Any, tables: Sequence[Any]) -> list[Any]:
        """Return the tensors with the scales and, if present, the zero points of a tensor's blocks."""
        blocks = self._blocks(table)
        if not blocks:
            return []
        zero_points = blocks.ZeroPoints()
        return [tables[blocks.Scales()], *([tables[zero_points]] if zero_points > 0 else [])]

    def _block_quantization(self, table: Any, tables: Sequence[Any]) -> Quantization | None:
        blocks = self._blocks(table)
        if not blocks:
            return None
        scales, *rest = map(self._values, self._block_tensors(table, tables))
        zero_points = rest[0] if rest else [0] * len(scales)
        axis = table.Quantization().QuantizedDimension()
        return Quantization(tuple(scales), tuple(zero_points), axis, blocks.BlockSize())

    def _values(self, table: Any) -> list[Any]:
        """Return the values of a tensor whose dtype NumPy supports."""
        content = bytes(_numbers(self.buffers[table.Buffer()].DataAsNumpy()))
        return list(np.frombuffer(content, self._dtype(table)).tolist())

    def _dtype(self, table: Any) -> str:
        return _name(self._schema.TensorType, table.Type()).lower()

    def _tensor(self, table: Any, size_bytes: int = 0, tables: Sequence[Any] = ()) -> Tensor:
        shape = _numbers(table.ShapeSignatureAsNumpy()) or _numbers(table.ShapeAsNumpy())
        quantization = _quantization(table.Quantization()) or self._block_quantization(table, tables)
        sizes = tuple(None if size < 0 else size for size in shape)
        return Tensor(as_text(table.Name()), sizes, self._dtype(table), quantization, size_bytes)


def _quantization(table: Any) -> Quantization | None:
    scales = _numbers(table.ScaleAsNumpy()) if table else []
    if not scales:
        return None
    zero_points = _numbers(table.ZeroPointAsNumpy()) or [0] * len(scales)
    return Quantization(tuple(scales), tuple(zero_points), table.QuantizedDimension() if len(scales) > 1 else None)


def _numbers(vector: Any) -> list[Any]:
    """Convert a vector of numbers to a list. The schema's code returns 0 for a missing vector."""
    return [] if isinstance(vector, int) else list(vector.tolist())


def _name(enumeration: type, number: int) -> str:
    """Return the name of a number in the schema, or the number if the schema is older than the file."""
    return next((name for name, value in vars(enumeration).items() if value == number), f"number {number}")


def read(path: Path, content: bytes) -> Contents:
    """Read a .tflite file."""
    file = _Tflite(content)
    inputs, outputs = file.inputs_and_outputs()
    stored, parameters = file.stored()
    return Contents(
        inputs=inputs,
        outputs=outputs,
        operators=file.operators(),
        layers=file.weighted_layers(),
        parameters=count_values(parameters),
        tensors=tuple(stored),
        metadata=metadata.describe(content, file.metadata()),
    )
