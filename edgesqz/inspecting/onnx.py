"""Reading .onnx files by ONNX's own package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.inspecting.inspection import Inspection, Quantization, Tensor, as_text, count, counted, inspection

if TYPE_CHECKING:
    import onnx


def read(path: Path, content: bytes) -> Inspection:
    """Inspect a .onnx file."""
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
    return inspection(
        path,
        content,
        tuple(map(_value, given)),
        tuple(map(_value, model.graph.output)),
        counted(map(_onnx_operator, nodes)),
        count(numbers),
        stored,
        {
            "producer": f"{as_text(model.producer_name)} {as_text(model.producer_version)}".strip(),
            "ir_version": model.ir_version,
            "opsets": {as_text(opset.domain) or "ai.onnx": opset.version for opset in model.opset_import},
            **{as_text(entry.key): as_text(entry.value) for entry in model.metadata_props},
        },
    )


def _onnx_operator(node: onnx.NodeProto) -> str:
    """Its name, with its domain before it if that is not ONNX's own."""
    return f"{as_text(node.domain)}.{as_text(node.op_type)}".removeprefix("ai.onnx").lstrip(".")


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
    return Tensor(as_text(tensor.name), tuple(tensor.dims), _onnx_dtype(tensor.data_type), quantization, size)


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
    return Tensor(as_text(value.name), sizes, _onnx_dtype(form.elem_type))


def _onnx_dtype(number: int) -> str:
    import onnx

    name: str = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
