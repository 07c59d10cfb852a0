"""Read .onnx files with the onnx package."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.engine import saturation
from edgesqz.inspecting.inspection import (
    Contents,
    ExternalFile,
    Quantization,
    Tensor,
    as_text,
    counted,
)

if TYPE_CHECKING:
    import onnx

# The inputs of quantized operators that take parameters. Their other constants are scales, zero points and settings.
# Each maps to the input that takes its scale if the next input takes its zero point, otherwise to None.
# From the operator schemas of ONNX and of ONNX Runtime's domain com.microsoft.
QUANTIZED_VALUES: dict[str, dict[int, int | None]] = {
    "ConvInteger": {0: None, 1: None},
    "DequantizeLinear": {0: 1},
    "DynamicQuantizeLSTM": {0: None, 1: 8, 2: 10, 3: None, 5: None, 6: None, 7: None},
    "DynamicQuantizeMatMul": {0: None, 1: 2, 4: None},
    "GatherBlockQuantized": {0: None},
    "MatMulBnb4": {0: None, 1: None},
    "MatMulInteger": {0: None, 1: None},
    "MatMulIntegerToFloat": {0: None, 1: None, 6: None},
    "MatMulNBits": {0: None, 1: None, 5: None},
    "QAttention": {0: None, 1: None, 2: None},
    "QGemm": {0: 1, 3: 4, 6: None},
    "QLinearAdd": {0: 1, 3: 4},
    "QLinearConv": {0: 1, 3: 4, 8: None},
    "QLinearMatMul": {0: 1, 3: 4},
    "QLinearMul": {0: 1, 3: 4},
    "QuantizeLinear": {0: None},
}
# Operators whose inputs other than the first are settings.
WITH_SETTINGS = ("Clip", "Dropout", "Pad", "Resize", "Upsample")
# Operators that only reshape or reorder their first input. The operators after them show what it is used for.
PASSING_ON = ("Flatten", "Gather", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


@dataclass
class _Constant:
    """A tensor that the model stores, and what the operators that use it reveal.

    Attributes:
        tensor: The tensor.
        parameters: The number of weights or biases in the tensor, or 0 if it contains something else.
        quantization: How its values are quantized, or None if they are not quantized or this is unknown.
    """

    tensor: onnx.TensorProto
    parameters: int = 0
    quantization: Quantization | None = None

    @property
    def dtype(self) -> str:
        return _dtype(self.tensor.data_type)

    @property
    def elements(self) -> int:
        if any(size < 0 for size in self.tensor.dims):
            raise ValueError(f"the tensor {as_text(self.tensor.name)} has the shape {tuple(self.tensor.dims)}")
        return math.prod(self.tensor.dims)

    @property
    def external(self) -> Mapping[str, str]:
        """The location of the values in another file. Empty if this file stores them."""
        import onnx

        if self.tensor.data_location != onnx.TensorProto.EXTERNAL:
            return {}
        return {as_text(entry.key): as_text(entry.value) for entry in self.tensor.external_data}

    @property
    def size_bytes(self) -> int:
        """The size of the values, whichever field stores them."""
        if "length" in self.external:
            return int(self.external["length"])
        if self.tensor.string_data:
            return sum(map(len, self.tensor.string_data))
        bits = re.search(r"\d+", self.dtype)
        return len(self.tensor.raw_data) or -(-self.elements * (int(bits[0]) if bits else 8) // 8)

    def described(self) -> Tensor:
        location = self.external.get("location")
        shape = tuple(self.tensor.dims)
        return Tensor(as_text(self.tensor.name), shape, self.dtype, self.quantization, self.size_bytes, location)


def read(path: Path, content: bytes) -> Contents:
    """Read a .onnx file, without the files beside it that store external data."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    if not model.graph.node:
        raise ValueError("it has no operators")
    constants: list[_Constant] = []
    _collect(model.graph, {}, constants)
    initializers = {tensor.name for tensor in model.graph.initializer}
    return Contents(
        inputs=tuple(_value(value) for value in model.graph.input if value.name not in initializers),
        outputs=tuple(map(_value, model.graph.output)),
        operators=counted(map(_operator, _nodes(model.graph))),
        parameters=sum(constant.parameters for constant in constants),
        tensors=tuple(constant.described() for constant in constants),
        metadata=_metadata(model),
        external_files=tuple(_external_files(path.parent, constants)),
        warnings=(saturation.WARNING,) if saturation.may_saturate(model) else (),
    )


def _metadata(model: onnx.ModelProto) -> dict[str, Any]:
    return {
        "producer": f"{as_text(model.producer_name)} {as_text(model.producer_version)}".strip(),
        "ir_version": model.ir_version,
        "opsets": {as_text(opset.domain) or "ai.onnx": opset.version for opset in model.opset_import},
        **{as_text(entry.key): as_text(entry.value) for entry in model.metadata_props},
    }


def _operator(node: onnx.NodeProto) -> str:
    """Return the operator's name, prefixed with its domain unless that is ONNX's own."""
    domain, name = as_text(node.domain), as_text(node.op_type)
    return name if domain in ("", "ai.onnx") else f"{domain}.{name}"


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, including those within branches and loops."""
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from _nodes(inner)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))


def _collect(graph: onnx.GraphProto, outer: Mapping[Any, _Constant], found: list[_Constant]) -> None:
    """Add the constants of a graph and its subgraphs to a list, and record what their operators reveal about them.

    Args:
        graph: The graph, with its operators in the order they run.
        outer: The constants of the enclosing graphs by name, which the graph can use.
        found: The list to add to.
    """
    known = dict(outer)

    def add(tensor: onnx.TensorProto, name: str) -> None:
        known[name] = _Constant(tensor)
        found.append(known[name])

    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        add(tensor, tensor.name)
    scales_of_inputs = {node.output[1] for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    for node in graph.node:
        for inner in _subgraphs(node):
            _collect(inner, known, found)
        if node.op_type == "Constant":
            for tensor in _values_of(node):
                add(tensor, node.output[0])
        elif node.op_type in PASSING_ON and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
        elif node.op_type != "Mul" or scales_of_inputs.isdisjoint(node.input):  # scales are multiplied with each other
            _note(node, known)


def _values_of(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """Yield the values of a Constant node as tensors with the name of its output."""
    import onnx
    from onnx import helper

    kinds = onnx.AttributeProto
    for attribute in node.attribute:
        tensor = onnx.TensorProto()
        match attribute.type:
            case kinds.TENSOR:
                tensor.CopyFrom(attribute.t)
            case kinds.SPARSE_TENSOR:
                tensor.CopyFrom(attribute.sparse_tensor.values)
            case kinds.FLOAT | kinds.FLOATS:
                values = [attribute.f] if attribute.type == kinds.FLOAT else attribute.floats
                shape = () if attribute.type == kinds.FLOAT else (len(values),)
                tensor = helper.make_tensor("", onnx.TensorProto.FLOAT, shape, values)
            case kinds.INT | kinds.INTS:
                values = [attribute.i] if attribute.type == kinds.INT else attribute.ints
                shape = () if attribute.type == kinds.INT else (len(values),)
                tensor = helper.make_tensor("", onnx.TensorProto.INT64, shape, values)
            case _:
                continue
        tensor.name = node.output[0]
        yield tensor


def _note(node: onnx.NodeProto, known: Mapping[Any, _Constant]) -> None:
    """Record what an operator reveals about the constants that it takes."""
    operator = as_text(node.op_type)
    quantized = QUANTIZED_VALUES.get(operator, {0: 1} if operator.startswith("QLinear") else None)
    for position, name in enumerate(node.input):
        constant = known.get(name)
        if constant is None:
            continue
        if quantized is not None and position in quantized:
            constant.parameters = _numbers(node, constant)
            scale = quantized[position]
            if scale is not None:
                constant.quantization = _quantization(node, scale, known)
        elif quantized is None and "float" in constant.dtype and not (operator in WITH_SETTINGS and position):
            constant.parameters = constant.elements


def _numbers(node: onnx.NodeProto, constant: _Constant) -> int:
    """Return the number of values in a constant. Some operators unpack several from a byte."""
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    if constant.dtype == "uint8" and node.op_type in ("MatMulNBits", "MatMulBnb4"):
        return int(settings["K"] * settings["N"])  # its last block may be padded
    if constant.dtype == "uint8" and node.op_type == "GatherBlockQuantized":
        return int(constant.elements * 8 // settings.get("bits", 4))
    return constant.elements


def _quantization(node: onnx.NodeProto, scale: int, known: Mapping[Any, _Constant]) -> Quantization | None:
    """Return the scales and zero points at an operator's inputs from ``scale`` on, or None if not in this file."""
    from onnx import numpy_helper

    pair = [known.get(name) for name in node.input[scale : scale + 2] if name]
    tensors = [constant.tensor for constant in pair if constant and not constant.external]
    if not tensors or len(tensors) < len(pair):
        return None  # computed, or in another file
    scales, *rest = (numpy_helper.to_array(tensor).ravel().tolist() for tensor in tensors)
    zero_points = rest[0] if rest else [0] * len(scales)
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    block_size = settings.get("block_size") or None
    # QLinearConv has a pair per kernel, matrix multiplications per column. DequantizeLinear names the axis.
    axis = {"QLinearConv": 0, "QGemm": 1 - settings.get("transB", 0)}.get(as_text(node.op_type), 1)
    several = len(scales) > 1 or block_size
    return Quantization(tuple(scales), tuple(zero_points), settings.get("axis", axis) if several else None, block_size)


def _external_files(folder: Path, constants: Sequence[_Constant]) -> Iterator[ExternalFile]:
    needed: dict[str, int] = {}
    for constant in constants:
        if constant.external:
            location = constant.external.get("location", "")
            end = int(constant.external.get("offset", 0)) + constant.size_bytes
            needed[location] = max(end, needed.get(location, 0))
    for location, size in needed.items():
        file = folder / location
        yield ExternalFile(location, size, file.stat().st_size if file.is_file() else None)


def _value(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type":
        form = value.type.tensor_type
        return Tensor(as_text(value.name), _shape(form), _dtype(form.elem_type))
    return Tensor(as_text(value.name), (), _type(value.type))


def _type(of: onnx.TypeProto) -> str:
    """Describe a type, such as ``sequence(map(int64, float32))``."""
    match of.WhichOneof("value"):
        case "tensor_type":
            return Tensor("", _shape(of.tensor_type), _dtype(of.tensor_type.elem_type)).type_and_shape
        case "sparse_tensor_type":
            form = of.sparse_tensor_type
            return f"sparse({Tensor('', _shape(form), _dtype(form.elem_type)).type_and_shape})"
        case "sequence_type":
            return f"sequence({_type(of.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({_type(of.optional_type.elem_type)})"
        case "map_type":
            return f"map({_dtype(of.map_type.key_type)}, {_type(of.map_type.value_type)})"
    return "undefined"


def _shape(form: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor) -> tuple[int | None, ...]:
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in form.shape.dim)


def _dtype(number: int) -> str:
    import onnx

    name: str = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
