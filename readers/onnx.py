"""ONNX, converted by onnx2tf."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

    from edgesqz.plugins import Prepared

SUFFIXES = (".onnx",)
REQUIREMENTS = ("onnx2tf>=2.6,<3",)
PYTHON = "3.12"

STANDARD_DOMAINS = ("", "ai.onnx", "com.microsoft")  # the last one contains ONNX Runtime's own operators
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv")


def whole(path: Path) -> bytes | None:
    """Return the file with its external data, or None if it has none. See ``readers/__init__.py``."""
    if b"location" not in path.read_bytes():  # the key that names a file of external data
        return None
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:  # the engine reports a damaged file
        return None
    return bytes(model.SerializeToString()) if _load_external_data(model, path) else None


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Load the file with its external data, and fix the size of its images. See ``readers/__init__.py``."""
    import onnx
    from google.protobuf.message import DecodeError

    from edgesqz.plugins import Prepared

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError("it is not an ONNX file, or it is truncated") from error
    _load_external_data(model, path)
    if not model.graph.node:
        raise ValueError("it has no operators")
    _refuse_operators(model)
    _fix_shapes(model, size)
    constants = (attribute.t for node in model.graph.node if node.op_type == "Constant" for attribute in node.attribute)
    floats = [each for each in (*model.graph.initializer, *constants) if each.data_type == onnx.TensorProto.FLOAT]
    parameters = sum(math.prod(tensor.dims) for tensor in floats)
    return Prepared(model.SerializeToString(), parameters, _labels(model))


def _load_external_data(model: onnx.ModelProto, path: Path) -> bool:
    """Load the weights that other files contain. Return whether there are any."""
    import onnx

    again = "or save the model again as a single file"
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    names = list(dict.fromkeys(entry.value for entry in entries if entry.key == "location"))
    if missing := [name for name in names if not (path.parent / name).is_file()]:
        raise ValueError(
            f"it stores weights in {_listed(missing)}, not found in the folder of {path.name}; "
            f"copy the data there, {again}"
        )
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ValueError(
            f"it stores weights in {_listed(names)}, which must be complete, not a link, and in the folder of "
            f"{path.name}; copy the data there, {again}"
        ) from error
    return bool(names)


def _listed(names: Sequence[str]) -> str:
    """Return the first name, and the number of others."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _refuse_operators(model: onnx.ModelProto) -> None:
    import onnx

    from edgesqz.plugins import QuantizedError

    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if not opset.domain and opset.version > newest:
            raise ValueError(f"it uses opset {opset.version}; export it again with opset {newest} or older")
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if _is_foreign(node)})
    if foreign:
        raise ValueError(f"it has custom operators, which no other tool can run: {', '.join(foreign)}")
    unknown = sorted({node.op_type for node in model.graph.node if not (node.domain or onnx.defs.has(node.op_type))})
    if unknown:
        raise ValueError(f"ONNX has no operator {', '.join(unknown)}")
    if any(node.op_type in QUANTIZED for node in model.graph.node):
        raise QuantizedError


def _is_foreign(node: onnx.NodeProto) -> bool:
    return node.domain not in STANDARD_DOMAINS


def _fix_shapes(model: onnx.ModelProto, size: tuple[int, int] | None) -> None:
    """Replace symbolic dimensions: the first of each input with 1, height and width of images with ``size``."""
    from edgesqz.plugins import NeedsSizeError

    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in stored or not dims:
            continue
        if dims[0].dim_value < 1:  # symbolic, or -1 in files from some tools
            dims[0].dim_value = 1
        if len(dims) != 4:
            continue
        height, width = (dims[1], dims[2]) if dims[3].dim_value in (1, 3) else (dims[2], dims[3])
        known = max(height.dim_value, 0), max(width.dim_value, 0)
        if not (size or all(known)):
            raise NeedsSizeError
        height.dim_value, width.dim_value = (
            fixed or wanted for fixed, wanted in zip(known, size or known, strict=True)
        )


def _labels(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the class names that some exporters store as the text of a Python dictionary keyed by class number."""
    import ast

    text = next((entry.value for entry in model.metadata_props if entry.key == "names"), "")
    try:
        names: Any = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return ()
    names = list(names.values()) if isinstance(names, dict) else names
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _unturned(content: bytes) -> list[str]:
    """Return the names of the inputs that are not images with channels first, which onnx2tf would transpose as well."""
    import onnx

    inputs = onnx.load_from_string(content).graph.input
    shapes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in inputs}
    return [name for name, shape in shapes.items() if len(shape) != 4 or shape[1] not in (1, 3) or shape[3] in (1, 3)]


def read(content: bytes) -> bytes:
    """Convert the file. See ``readers/__init__.py``."""
    import onnx2tf

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "converted"
        source.write_bytes(content)
        onnx2tf.convert(
            input_onnx_file_path=str(source),
            output_folder_path=str(target),
            copy_onnx_input_output_names_to_tflite=True,
            output_signaturedefs=True,
            keep_shape_absolutely_input_names=_unturned(content),
        )
        return (target / "model_float32.tflite").read_bytes()
