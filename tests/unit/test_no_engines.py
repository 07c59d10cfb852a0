"""Unit tests run without an engine: importing one fails, and a fake one measures files."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import edgesqz


@pytest.mark.parametrize(
    "engine", ["ai_edge_litert", "keras", "litert_quantizer", "onnx", "onnxruntime", "tensorflow", "tf2onnx"]
)
def test_no_engine_can_be_imported(engine: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(engine)


def test_the_fake_engine_measures_files_of_any_format(exported: Path) -> None:
    report = edgesqz.bench("squeezenet-nano.int8.tflite", rounds=1, workspace=exported)
    source, export = report.measured
    assert (source.runtime, export.runtime, source.accuracy) == ("fake", "fake", 1)
    assert export.accuracy is not None and 0.5 < export.accuracy <= 1
    assert export.performance and export.performance.memory_bytes
