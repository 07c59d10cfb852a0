"""What is in a model file: inputs, outputs, operators, parameters, bytes and metadata, whoever made it."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgesqz import artifact, defaults, metadata, originals
from edgesqz.errors import DAMAGE, EdgesqzError, first_line

if TYPE_CHECKING:
    import onnx
    from rich.console import Group
    from rich.table import Table as RichTable

_Table = TypeVar("_Table")

SHOWN_TENSORS = 12
MOST_TABLES = 1_000_000  # as FlatBuffers' own verifier allows
BYTES_A_TABLE = 8  # at least: where it is, and where its fields are


@dataclass(frozen=True)
class Quantization:
    """``real value = scale * (stored value - zero point)``, with one pair for all values or one a channel.

    Attributes:
        axis: of the channels; None if there is one pair.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None

    def __str__(self) -> str:
        """One pair as its numbers, several as how many there are."""
        if self.axis is not None:
            return f"{len(self.scales)} scales, axis {self.axis}"
        return f"scale {self.scales[0]:.6g}, zero point {self.zero_points[0]}"


@dataclass(frozen=True)
class Tensor:
    """An input, an output, or values that the file stores.

    Attributes:
        shape: with None where any size is taken.
        dtype: its name as NumPy has it, or as the format has it where NumPy has none.
        quantization: None where values are stored as they are.
        size_bytes: of its values in the file; 0 for an input or output.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None
    size_bytes: int = 0

    @property
    def form(self) -> str:
        """Dtype and shape, such as ``int8 1x32x32x3``."""
        return f"{self.dtype} {'x'.join('?' if size is None else str(size) for size in self.shape)}".strip()


@dataclass(frozen=True)
class Inspection:
    """What is in a model file.

    Attributes:
        inputs: in the order a program meets them.
        outputs: in the order a program meets them.
        operators: how often each occurs, the most frequent first; layers for a .keras file.
        parameters: weights and biases, each number once; no shapes, scales or zero points.
        tensors: what the file stores, the largest first.
        metadata: what the file says of itself, as its format has it.
    """

    file: str
    format: str
    size_bytes: int
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    parameters: int
    tensors: tuple[Tensor, ...]
    metadata: dict[str, Any]

    def to_json(self) -> str:
        """The inspection as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def table(self) -> Group:
        """The inspection as one small table below the other."""
        from rich.console import Group

        facts = [
            ("size", f"{self.size_bytes:,} bytes, of which {_size(self.tensors):,} are values of tensors"),
            ("SHA-256", self.sha256),
            ("parameters", f"{self.parameters:,}"),
        ]
        rest = self.tensors[SHOWN_TENSORS:]
        more = [("", f"and {len(rest)} more; --json shows all", "", f"{_size(rest):>11,}")] if rest else []
        largest = [(t.name, t.form, str(t.quantization or ""), f"{t.size_bytes:>11,}") for t in self.tensors]
        return Group(
            _block(f"{self.file} ({self.format})", facts),
            _block("inputs", [(t.name, t.form, str(t.quantization or "")) for t in self.inputs]),
            _block("outputs", [(t.name, t.form, str(t.quantization or "")) for t in self.outputs]),
            _block("operators", [(name, f"{count:,}") for name, count in self.operators.items()]),
            _block("bytes by tensor", [*largest[:SHOWN_TENSORS], *more]),
            _block("metadata", list(_flat(self.metadata)) or [("none", "")]),
        )


def inspect(file: str | Path, *, workspace: Path = defaults.WORKSPACE) -> Inspection:
    """Read a model file of any maker; nothing of it is run.

    Args:
        file: a .tflite, .onnx or .keras file, or the name of one in the workspace or the zoo.
        workspace: where names are looked up.

    Raises:
        EdgesqzError: there is no such file, its suffix is another one, or it is damaged.
    """
    path = artifact.find_model_file(file, workspace)
    reader = READERS.get(path.suffix)
    if reader is None:
        raise EdgesqzError(f"expected a {', '.join(READERS)} file, got {path}")
    content = path.read_bytes()
    try:
        return reader(path, content)
    except (*DAMAGE, RecursionError, struct.error) as error:
        raise EdgesqzError(f"{path} is no {path.suffix} file, or is damaged: {first_line(error)}") from error


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
        return _counted(names[op.OpcodeIndex()] for op in used)

    def stored(self) -> list[Tensor]:
        """Tensors with values in the file; of several that share them, the first."""
        found: dict[int, Tensor] = {}
        for graph in self.graphs:
            for table in self.all(graph.TensorsLength(), graph.Tensors):
                number, size = table.Buffer(), self._stored_bytes(table.Buffer())
                if size and number not in found:
                    found[number] = self._tensor(table, size)
        return list(found.values())

    def metadata(self) -> dict[str, bytes]:
        """The entries by name."""
        entries = self.all(self.model.MetadataLength(), self.model.Metadata)
        return {_text(entry.Name()): bytes(_numbers(self.buffers[entry.Buffer()].DataAsNumpy())) for entry in entries}

    def _stored_bytes(self, number: int) -> int:
        buffer = self.buffers[number]
        return int(buffer.DataLength() or buffer.Size())  # a file over 2 GB has them behind its flatbuffer

    def _operator(self, code: Any) -> str:
        # Numbers above 127 came later and stand in a field of their own.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _name(self._schema.BuiltinOperator, number)
        return _text(code.CustomCode()) if name == "CUSTOM" else name

    def _tensor(self, table: Any, size_bytes: int = 0) -> Tensor:
        shape = _numbers(table.ShapeSignatureAsNumpy()) or _numbers(table.ShapeAsNumpy())
        dtype = _name(self._schema.TensorType, table.Type()).lower()
        sizes = tuple(None if size < 0 else size for size in shape)
        return Tensor(_text(table.Name()), sizes, dtype, _quantization(table.Quantization()), size_bytes)


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


def _text(content: bytes | str | None) -> str:
    """What should be UTF-8; protobuf gives bytes where it is not."""
    return content if isinstance(content, str) else (content or b"").decode("utf-8", errors="replace")


def _read_tflite(path: Path, content: bytes) -> Inspection:
    file = _Tflite(content)
    inputs, outputs = file.inputs_and_outputs()
    stored = file.stored()
    # Shapes and axes, which operators take as tensors too, are integers without a scale.
    numbers = [tensor for tensor in stored if tensor.quantization or "float" in tensor.dtype]
    told = metadata.told(content, file.metadata())
    return _inspection(path, content, inputs, outputs, file.operators(), _count(numbers), stored, told)


def _read_onnx(path: Path, content: bytes) -> Inspection:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    if not model.graph.node:
        raise ValueError("it has no operators")
    nodes = list(_nodes(model.graph))
    held = [*model.graph.initializer, *_constants(nodes)]
    pairs = {node.input[0]: node for node in nodes if node.op_type == "DequantizeLinear"}
    values = {tensor.name: tensor for tensor in held}
    stored = [_stored_in_onnx(tensor, pairs.get(tensor.name), values) for tensor in held]
    scales = {
        name for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input[1:]
    }
    numbers = [t for t in stored if t.name not in scales and (t.quantization or "float" in t.dtype)]
    given = [value for value in model.graph.input if value.name not in values]
    return _inspection(
        path,
        content,
        tuple(map(_value, given)),
        tuple(map(_value, model.graph.output)),
        _counted(map(_onnx_operator, nodes)),
        _count(numbers),
        stored,
        {
            "producer": f"{_text(model.producer_name)} {_text(model.producer_version)}".strip(),
            "ir_version": model.ir_version,
            "opsets": {_text(opset.domain) or "ai.onnx": opset.version for opset in model.opset_import},
            **{_text(entry.key): _text(entry.value) for entry in model.metadata_props},
        },
    )


def _onnx_operator(node: onnx.NodeProto) -> str:
    """Its name, with its domain before it if that is not ONNX's own."""
    return f"{_text(node.domain)}.{_text(node.op_type)}".removeprefix("ai.onnx").lstrip(".")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those within branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)


def _constants(nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """The tensors of Constant nodes, under the names of their outputs."""
    import onnx

    for node in nodes:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                tensor = onnx.TensorProto()
                tensor.CopyFrom(attribute.t)
                tensor.name = node.output[0]
                yield tensor


def _stored_in_onnx(
    tensor: onnx.TensorProto, dequantize: onnx.NodeProto | None, values: dict[str, onnx.TensorProto]
) -> Tensor:
    size = len(tensor.raw_data) or tensor.ByteSize()
    quantization = _dequantization(dequantize, values) if dequantize else None
    return Tensor(_text(tensor.name), tuple(tensor.dims), _onnx_dtype(tensor.data_type), quantization, size)


def _dequantization(node: onnx.NodeProto, values: dict[str, onnx.TensorProto]) -> Quantization | None:
    from onnx import numpy_helper

    if node.input[1] not in values:
        return None  # a scale that is computed
    scales = numpy_helper.to_array(values[node.input[1]]).ravel().tolist()
    given = values.get(node.input[2]) if len(node.input) > 2 else None
    zero_points = [0] * len(scales) if given is None else numpy_helper.to_array(given).ravel().tolist()
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    return Quantization(tuple(scales), tuple(zero_points), axis if len(scales) > 1 else None)


def _value(value: onnx.ValueInfoProto) -> Tensor:
    form = value.type.tensor_type
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in form.shape.dim)
    return Tensor(_text(value.name), sizes, _onnx_dtype(form.elem_type))


def _onnx_dtype(number: int) -> str:
    import onnx

    name: str = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _read_keras(path: Path, content: bytes) -> Inspection:
    import zipfile

    model = originals.load_keras(path)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError("its model was saved before it was built, so that its inputs are unknown")
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("metadata.json"))
    stored = [Tensor(w.path, tuple(w.shape), str(w.dtype), None, int(w.value.numpy().nbytes)) for w in model.weights]
    return _inspection(
        path,
        content,
        tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.inputs),
        tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.outputs),
        _counted(_layers(model)),
        model.count_params(),
        stored,
        told,
    )


def _layers(model: Any) -> Iterator[str]:
    """The classes of all layers, those of models within the model too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield type(layer).__name__


READERS: dict[str, Callable[[Path, bytes], Inspection]] = {
    ".tflite": _read_tflite,
    ".onnx": _read_onnx,
    artifact.KERAS_SUFFIX: _read_keras,
}


def _inspection(
    path: Path,
    content: bytes,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    operators: dict[str, int],
    parameters: int,
    stored: list[Tensor],
    told: dict[str, Any],
) -> Inspection:
    largest_first = tuple(sorted(stored, key=lambda tensor: tensor.size_bytes, reverse=True))
    return Inspection(
        file=path.name,
        format=path.suffix[1:],
        size_bytes=len(content),
        sha256=artifact.sha256(content),
        inputs=inputs,
        outputs=outputs,
        operators=operators,
        parameters=parameters,
        tensors=largest_first,
        metadata=told,
    )


def _counted(names: Iterator[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _count(tensors: list[Tensor]) -> int:
    return sum(math.prod(size or 0 for size in tensor.shape) for tensor in tensors)


def _size(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)


def _block(title: str, rows: Sequence[tuple[str, ...]]) -> RichTable:
    """A small table; what a file says of itself is shown as it is."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _flat(told: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as rows: the way to each, and what it is."""
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
