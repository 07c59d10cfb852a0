"""Read .pt2 files, which are archives with a description of the program in JSON, without PyTorch."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from edgesqz import plugins
from edgesqz.inspecting.inspection import Contents, Tensor, count_values, counted

# The names of the dtypes, by their number in the format.
DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
}


def read(path: Path, content: bytes) -> Contents:
    """Read a .pt2 file. A pickle, which can run code when it is loaded, is never loaded."""
    reader = plugins.reader_for(path.suffix)
    assert reader  # one of the readers of this package
    reader.prepare(path, None)  # refuses other files
    with zipfile.ZipFile(path) as archive:
        (model,) = (name for name in archive.namelist() if name.endswith("/models/model.json"))
        program = json.loads(archive.read(model))
        weights = model.removesuffix("models/model.json") + "data/weights/"
        stored = json.loads(archive.read(f"{weights}model_weights_config.json"))["config"]
        sizes = {name: archive.getinfo(weights + each["path_name"]).file_size for name, each in stored.items()}
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    tensors = tuple(_tensor(name, each["tensor_meta"], sizes[name]) for name, each in stored.items())
    return Contents(
        inputs=_ends(signature["input_specs"], "user_input", graph["tensor_values"]),
        outputs=_ends(signature["output_specs"], "user_output", graph["tensor_values"]),
        operators=counted(_operator(node["target"]) for node in graph["nodes"]),
        parameters=count_values([each for each in tensors if "float" in each.dtype]),
        tensors=tensors,
        metadata={
            "torch_version": program.get("torch_version", "unknown"),
            "schema_version": "{major}.{minor}".format(**program["schema_version"]),
        },
    )


def _ends(specs: list[dict[str, Any]], kind: str, values: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return the inputs or the outputs that are tensors."""
    arguments = (spec[kind]["arg"] for spec in specs if kind in spec)
    names = (argument["as_tensor"]["name"] for argument in arguments if "as_tensor" in argument)
    return tuple(_tensor(name, values[name]) for name in names)


def _tensor(name: str, facts: dict[str, Any], size_bytes: int = 0) -> Tensor:
    dtype = DTYPES.get(facts["dtype"], f"number {facts['dtype']}")
    return Tensor(name, tuple(size.get("as_int") for size in facts["sizes"]), dtype, None, size_bytes)


def _operator(target: str) -> str:
    """Return the name of an operator, such as ``aten.conv2d`` for ``torch.ops.aten.conv2d.default``."""
    return target.removeprefix("torch.ops.").removesuffix(".default")
