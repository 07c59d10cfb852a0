"""PyTorch programs, read without PyTorch."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.inspecting import inspect

FLOAT32, INT64 = 7, 5
ANY = {"as_expr": {"expr_str": "Symbol('s0')", "hint": {"as_int": 2}}}


def tensor(dtype: int, *sizes: Any) -> dict[str, Any]:
    return {"dtype": dtype, "sizes": [size if isinstance(size, dict) else {"as_int": size} for size in sizes]}


def given(kind: str, name: str) -> dict[str, Any]:
    return {kind: {"arg": {"as_tensor": {"name": name}}}}


def program(path: Path) -> Path:
    """Write a program as PyTorch 2.13 does, without the parts that are not read."""
    values = {"images": tensor(FLOAT32, ANY, 3, 8, 12), "scores": tensor(FLOAT32, ANY, 4)}
    model = {
        "graph_module": {
            "graph": {
                "nodes": [{"target": "torch.ops.aten.conv2d.default"}, {"target": "torch.ops.aten.mean.dim"}],
                "tensor_values": values,
            },
            "signature": {
                "input_specs": [{"parameter": {"parameter_name": "stem.weight"}}, given("user_input", "images")],
                "output_specs": [given("user_output", "scores")],
            },
        },
        "schema_version": {"major": 8, "minor": 20},
        "torch_version": "2.13.0",
    }
    stored = {"stem.weight": tensor(FLOAT32, 8, 3, 3, 3), "batches": tensor(INT64)}
    config = {name: {"path_name": f"weight_{k}", "tensor_meta": meta} for k, (name, meta) in enumerate(stored.items())}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", json.dumps(model))
        archive.writestr("net/data/weights/model_weights_config.json", json.dumps({"config": config}))
        archive.writestr("net/data/weights/weight_0", bytes(864))
        archive.writestr("net/data/weights/weight_1", bytes(8))
    return path


def test_a_program_shows_its_contents(tmp_path: Path) -> None:
    found = inspect(program(tmp_path / "net.pt2"))
    assert [(each.name, each.type_and_shape) for each in (*found.inputs, *found.outputs)] == [
        ("images", "float32 ?x3x8x12"),
        ("scores", "float32 ?x4"),
    ]
    assert found.operators == {"aten.conv2d": 1, "aten.mean.dim": 1}
    assert found.parameters == 216
    assert [(each.name, each.type_and_shape, each.size_bytes) for each in found.tensors] == [
        ("stem.weight", "float32 8x3x3x3", 864),
        ("batches", "int64", 8),
    ]
    assert found.metadata == {"torch_version": "2.13.0", "schema_version": "8.20"}


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(EdgesqzError, match=r"not a .pt2 file or is damaged: expected a program exported by torch"):
        inspect(path)
    path.rename(tmp_path / "net.pt")
    with pytest.raises(
        EdgesqzError, match=r"expected a model in one of the formats .tflite, .*, got .*; load your model and"
    ):
        inspect(tmp_path / "net.pt")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", "{}")
    with pytest.raises(EdgesqzError, match="not a .pt2 file or is damaged"):
        inspect(path)
