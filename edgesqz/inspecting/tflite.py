"""Reading .tflite files by the schema that ships with LiteRT; TensorFlow is not needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgesqz.inspecting.inspection import Inspection, Quantization, Tensor, as_text, count, counted, inspection
from edgesqz.tflite import metadata

_Table = TypeVar("_Table")

MOST_TABLES = 1_000_000  # as FlatBuffers' own verifier allows
BYTES_A_TABLE = 8  # at least: where it is, and where its fields are


def operators(content: bytes) -> dict[str, int]:
    """How often each operator occurs in a .tflite file, by its name in TFLite's schema, the most frequent first."""
    return _Tflite(content).operators()


class _Tflite:
    """The tables of a .tflite file, read one by one: a damaged file leads to an error, never to endless lists."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        if content[4:8] != b"TFL3":
            raise ValueError("its bytes 4 to 8 are not TFL3")
        self._schema = schema
        self._tables_left = min(len(content) // BYTES_A_TABLE, MOST_TABLES)
        self.model = schema.Model.GetRootAs(content, 0)
        self._codes = self.all(self.model.OperatorCodesLength(), self.model.OperatorCodes)
        self.buffers = self.all(self.model.BuffersLength(), self.model.Buffers)
        self.graphs = self.all(self.model.SubgraphsLength(), self.model.Subgraphs)

    def all(self, count: int, table: Callable[[int], _Table]) -> list[_Table]:
        """The tables of a vector."""
        self._tables_left -= count
        if self._tables_left < 0:
            raise ValueError("it names more tables than it can hold")
        return [table(number) for number in range(count)]

    def inputs_and_outputs(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Those of the first graph, which is the one that is run."""
        graph = self.graphs[0]
        return (
            tuple(self._tensor(graph.Tensors(int(number))) for number in _numbers(graph.InputsAsNumpy())),
            tuple(self._tensor(graph.Tensors(int(number))) for number in _numbers(graph.OutputsAsNumpy())),
        )

    def operators(self) -> dict[str, int]:
        """See ``operators``."""
        names = [self._operator(code) for code in self._codes]
        used = [op for graph in self.graphs for op in self.all(graph.OperatorsLength(), graph.Operators)]
        return counted(names[op.OpcodeIndex()] for op in used)

    def stored(self) -> tuple[list[Tensor], list[Tensor]]:
        """Tensors with values in the file, and those of them that are parameters; of several that share values, one."""
        found: dict[int, Tensor] = {}
        scales = set[int]()
        for graph in self.graphs:
            tables = self.all(graph.TensorsLength(), graph.Tensors)
            for table in tables:
                scales |= {pair.Buffer() for pair in self._block_tensors(table, tables)}
                number, size = table.Buffer(), self._stored_bytes(table.Buffer())
                if size and (number not in found or not found[number].quantization):
                    found[number] = self._tensor(table, size, tables)
        # Shapes and axes, which operators take as tensors too, are integers without a scale.
        parameters = [t for n, t in found.items() if n not in scales and (t.quantization or "float" in t.dtype)]
        return list(found.values()), parameters

    def metadata(self) -> dict[str, bytes]:
        """The entries by name."""
        entries = self.all(self.model.MetadataLength(), self.model.Metadata)
        return {as_text(entry.Name()): bytes(_numbers(self.buffers[entry.Buffer()].DataAsNumpy())) for entry in entries}

    def _stored_bytes(self, number: int) -> int:
        buffer = self.buffers[number]
        return int(buffer.DataLength() or buffer.Size())  # a file over 2 GB has them behind its flatbuffer

    def _operator(self, code: Any) -> str:
        # Numbers above 127 came later and stand in a field of their own.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _name(self._schema.BuiltinOperator, number)
        return as_text(code.CustomCode()) if name == "CUSTOM" else name

    def _blocks(self, table: Any) -> Any | None:
        """How a tensor is quantized in blocks; None if it is not."""
        quantization = table.Quantization()
        if not quantization or quantization.DetailsType() != self._schema.QuantizationDetails.BlockwiseQuantization:
            return None
        details, blocks = quantization.Details(), self._schema.BlockwiseQuantization()
        blocks.Init(details.Bytes, details.Pos)
        return blocks

    def _block_tensors(self, table: Any, tables: Sequence[Any]) -> list[Any]:
        """The tensors of the scales of a tensor's blocks and of their zero points, where there are any."""
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
        """The values of a tensor of a dtype that NumPy has."""
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
    """A vector of numbers; the schema's code gives 0 for one that is not there."""
    return [] if isinstance(vector, int) else list(vector.tolist())


def _name(enumeration: type, number: int) -> str:
    """The name of a number in the schema, or the number where the schema is older than the file."""
    return next((name for name, value in vars(enumeration).items() if value == number), f"number {number}")


def read(path: Path, content: bytes) -> Inspection:
    """Inspect a .tflite file."""
    file = _Tflite(content)
    inputs, outputs = file.inputs_and_outputs()
    stored, parameters = file.stored()
    told = metadata.describe(content, file.metadata())
    return inspection(path, content, inputs, outputs, file.operators(), count(parameters), stored, told)
