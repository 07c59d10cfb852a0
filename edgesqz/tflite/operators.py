"""The operators of a .tflite file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")  # operators whose second input is the weights


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator of a .tflite file. The first output's name identifies it to LiteRT's quantizer.

    Attributes:
        kind: Its name in TFLite's schema.
        output: Name of the first output.
        has_float_output: Whether the first output is float.
        kernel: Name of the second input, or an empty string.
        values: The values of that input if the file stores them as floats, or None.
    """

    kind: str
    output: str
    has_float_output: bool
    kernel: str
    values: np.ndarray | None


def operators(content: bytes) -> Iterator[Operator]:
    """Yield the operators of the only graph of a file, in execution order."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        kernel = graph.tensors[operator.inputs[1]] if len(operator.inputs) > 1 else None
        yield Operator(
            kind=kinds[builtin_code(model, operator)],
            output=output.name.decode(),
            has_float_output=output.type == schema.TensorType.FLOAT32,
            kernel=kernel.name.decode() if kernel else "",
            values=stored_floats(model, kernel) if kernel else None,
        )


def layer_of(content: bytes, tensor: str) -> str:
    """Return the name of the layer that a tensor belongs to: that of its weights, or the tensor's if it has none."""
    for operator in operators(content):
        if operator.kind in WEIGHTED and tensor in (operator.kernel.split(";")[0], operator.output.split(";")[0]):
            return operator.kernel
    return tensor


def builtin_code(model: Any, operator: Any) -> int:
    """Return the number of an operator in the schema's ``BuiltinOperator``. Older files store it in another field."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def float_operators(content: bytes, kept: Collection[str] = ()) -> list[str]:
    """Return the names of the operators that compute in float, except those whose first output is in ``kept``."""
    found = {
        operator.kind
        for operator in operators(content)
        if operator.has_float_output and operator.kind != "DEQUANTIZE" and operator.output not in kept
    }
    return sorted(found)


def stored_floats(model: Any, tensor: Any) -> np.ndarray | None:
    """Return the values of a float tensor that the file stores, or None."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.asarray(np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape))
