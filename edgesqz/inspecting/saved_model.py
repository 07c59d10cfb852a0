"""Read SavedModel folders with TensorFlow, without loading the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgesqz import backend
from edgesqz.inspecting.inspection import Contents, Tensor, count_values, counted

SIGNATURE = "serving_default"
CALLS = ("PartitionedCall", "StatefulPartitionedCall")  # of functions, whose operators are counted instead
VARIABLES = ("VarHandleOp", "VariableV2")


def read(path: Path, content: bytes) -> Contents:
    """Read a SavedModel folder."""
    with backend.hush():
        import tensorflow as tf
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ValueError(str(error)) from error
    graph = model.meta_graphs[0]
    if SIGNATURE not in graph.signature_def:
        raise ValueError(f"expected a signature {SIGNATURE}, got {', '.join(graph.signature_def) or 'none'}")
    signature = graph.signature_def[SIGNATURE]
    nodes = list(_needed(graph.graph_def, [each.name for each in signature.outputs.values()]))
    tensors = tuple(_stored(tf, nodes))
    return Contents(
        inputs=_ends(tf, signature.inputs),
        outputs=_ends(tf, signature.outputs),
        operators=counted(str(node.op) for node in nodes),
        parameters=count_values([each for each in tensors if "float" in each.dtype]),
        tensors=tensors,
        metadata={
            "tensorflow_version": graph.meta_info_def.tensorflow_version,
            "signatures": sorted(graph.signature_def),
        },
    )


def _ends(tf: Any, ends: Any) -> tuple[Tensor, ...]:
    """Return the inputs or the outputs, in the order of their names, as TensorFlow takes them."""
    return tuple(
        Tensor(
            name,
            tuple(None if dim.size < 0 else dim.size for dim in ends[name].tensor_shape.dim),
            tf.dtypes.as_dtype(ends[name].dtype).name,
        )
        for name in sorted(ends)
    )


def _stored(tf: Any, nodes: list[Any]) -> Iterator[Tensor]:
    """Yield the variables, and the float constants of more than one value, which hold the weights of frozen models."""
    for node in nodes:
        if node.op not in (*VARIABLES, "Const"):
            continue
        is_constant, dtype = node.op == "Const", tf.dtypes.as_dtype(node.attr["dtype"].type)
        shape = node.attr["value"].tensor.tensor_shape if is_constant else node.attr["shape"].shape
        sizes = tuple(dim.size for dim in shape.dim)
        if not is_constant or (dtype.is_floating and math.prod(sizes) > 1):
            name = node.attr["shared_name"].s.decode() or node.name
            yield Tensor(name, sizes, dtype.name, None, math.prod(sizes) * dtype.size)


def _needed(graph: Any, outputs: list[str]) -> Iterator[Any]:
    """Yield the nodes that the outputs need, including those in functions."""
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    waiting, seen = [nodes[name.split(":")[0]] for name in outputs], set[str]()
    while waiting:
        node = waiting.pop()
        if node.name not in seen:
            seen.add(node.name)
            yield from _within(node, functions)
            waiting += [nodes[name.split(":")[0].removeprefix("^")] for name in node.input]


def _within(node: Any, functions: dict[str, Any]) -> Iterator[Any]:
    """Yield a node, or those of the function that it calls."""
    if node.op not in CALLS:
        yield node
        return
    for inner in functions[node.attr["f"].func.name]:
        yield from _within(inner, functions)
