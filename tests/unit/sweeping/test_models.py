"""The models that the trials of a sweep start from or learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.artifact import ZOO
from edgesqz.sweeping.run import _models
from edgesqz.sweeping.space import Space
from edgesqz.workspace import Workspace


def space(**recipe: str) -> Space:
    return Space.parse({"network": {"model": "squeezenet-nano"}, "recipe": {"epochs": 1, **recipe}})


def test_a_teacher_can_be_an_export_and_is_sent_with_its_manifest(tmp_path: Path) -> None:
    found = _models(space(init="squeezenet-nano", teacher="squeezenet.int8.onnx"), Workspace(tmp_path))
    assert {name: list(files) for name, files in found.items()} == {
        "squeezenet-nano": ["squeezenet-nano.keras", "squeezenet-nano.keras.json"],
        "squeezenet.int8.onnx": ["squeezenet.int8.onnx", "squeezenet.int8.onnx.json"],
    }
    assert found["squeezenet.int8.onnx"]["squeezenet.int8.onnx"] == (ZOO / "squeezenet.int8.onnx").read_bytes()


def test_a_dry_run_names_the_knob_of_a_missing_model(tmp_path: Path) -> None:
    sections = {"network": {"model": "squeezenet-nano"}, "recipe": {"epochs": 1, "teacher": ["squeezenet", "boss"]}}
    with pytest.raises(EdgesqzError, match="recipe.teacher: no model file 'boss'"):
        edgesqz.sweep(sections, search="grid", workspace=tmp_path, dry_run=True)


def test_only_a_keras_model_can_be_trained_further(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="recipe.init: expected a .keras file, got .*squeezenet.int8.onnx"):
        _models(space(init="squeezenet.int8.onnx"), Workspace(tmp_path))
