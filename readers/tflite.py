"""TensorFlow Lite files with float weights, which need no conversion."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".tflite",)
REQUIREMENTS = ()
PYTHON = None

IDENTIFIER = b"TFL3"  # at offset 4


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Check that the file is float. See ``readers/__init__.py``."""
    from edgesqz.plugins import Prepared, QuantizedError

    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise ValueError("it is not a .tflite file, or it is damaged")
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    if any(graph.tensors[number].quantization and _has_scale(graph.tensors[number]) for number in graph.inputs):
        raise QuantizedError
    for number in graph.inputs:
        tensor = graph.tensors[number]
        if any(size < 0 for size in ([] if tensor.shapeSignature is None else tensor.shapeSignature[1:])):
            raise ValueError(
                f"its input {tensor.name.decode()} takes any size; convert the model again with fixed sizes"
            )
    kinds = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    stored = [each for each in graph.tensors if model.buffers[each.buffer].data is not None and each.type in kinds]
    parameters = sum(math.prod(map(int, [] if each.shape is None else each.shape)) for each in stored)
    return Prepared(content, parameters, _labels(content))


def _has_scale(tensor: Any) -> bool:
    scale = tensor.quantization.scale
    return scale is not None and len(scale) > 0


def _labels(content: bytes) -> tuple[str, ...]:
    """Return the class names in the zip archive that TFLite Metadata appends to a file."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return ()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        return tuple(archive.read(names[0]).decode("utf-8").split("\n")) if len(names) == 1 else ()


def read(content: bytes) -> bytes:
    """Return the file as it is. See ``readers/__init__.py``."""
    return content
