"""``edgesqz info``: what is installed and available, without importing any of it."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgesqz import plugins
from edgesqz.cli import app
from edgesqz.installation import Installation, Reader, Runtime, info
from edgesqz.models import ARCHITECTURES

HEAVY = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert")


def shown(installation: Installation) -> str:
    """Return what a wide terminal shows, with line breaks and column gaps as single spaces."""
    terminal = io.StringIO()
    Console(file=terminal, width=500, color_system=None).print(installation.table())
    return " ".join(terminal.getvalue().split())


def test_converters_are_listed_with_their_variants() -> None:
    assert info().converters == {
        "onnx": ("int8", "fp16", "dynamic", "fp32"),
        "tflite": ("int8", "int4", "mixed", "fp16", "dynamic", "fp32", "int16x8"),
    }


def test_readers_are_listed_with_their_packages() -> None:
    installation = info()
    assert installation.readers == (
        Reader("keras", (".h5", ".hdf5", ".keras"), None),
        Reader("onnx", (".onnx",), "onnx2tf>=2.6,<3"),
        Reader("pytorch", (".pt2",), "litert-torch>=0.10,<0.11"),
        Reader("tensorflow", (".savedmodel",), None),
        Reader("tflite", (".tflite",), None),
    )
    assert "onnx .onnx onnx2tf>=2.6,<3, in its own environment" in shown(installation)
    assert "tensorflow SavedModel folder no package needed" in shown(installation)


def test_runtimes_are_listed_with_their_suffixes_and_versions() -> None:
    runtimes = info().runtimes
    assert {runtime.name: runtime.suffixes for runtime in runtimes} == {
        "keras": (".keras", ".h5", ".hdf5"),
        "litert": (".tflite",),
        "litert-web": (".tflite",),
        "onnxruntime": (".onnx",),
        "onnxruntime-web": (".onnx",),
        "pytorch": (".pt2",),
        "tensorflow": (".savedmodel",),
        "tflite-micro": (".tflite",),
        "tflite-runtime": (".tflite",),
    }
    versions = {runtime.name: runtime.version for runtime in runtimes}
    assert versions.pop("litert-web") is versions.pop("onnxruntime-web") is None  # in the cache of a test
    assert versions.pop("pytorch") == "torch>=2.8,<2.14, in its own environment"
    assert all(version and version[0].isdigit() for version in versions.values())


def test_models_datasets_and_versions_are_listed() -> None:
    installation = info()
    assert installation.models == tuple(ARCHITECTURES)
    assert installation.datasets == {"cifar10": None, "cifar100": None, "mnist": None, "synthetic": "drawn by code"}
    assert installation.versions["python"] == platform.python_version()
    assert installation.versions["numpy"] == numpy.__version__
    assert {"edgesqz", "tensorflow", "keras", "tf2onnx", "onnx"} <= set(installation.versions)


def test_a_saved_model_is_shown_as_a_folder() -> None:
    assert "tensorflow SavedModel folder no package needed" in shown(info())
    assert ".savedmodel" not in shown(info())


def test_a_missing_engine_is_shown_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plugins, "engine_version", lambda runtime: None if runtime.ENGINE == "ai-edge-litert" else "9.8.7"
    )
    installation = info()
    assert {runtime.name: runtime.version for runtime in installation.runtimes} == {
        "keras": "9.8.7",
        "litert": None,
        "litert-web": "9.8.7",
        "onnxruntime": "9.8.7",
        "onnxruntime-web": "9.8.7",
        "pytorch": "torch>=2.8,<2.14, in its own environment",
        "tensorflow": "9.8.7",
        "tflite-micro": "0.dev20261023182759, in its own environment",
        "tflite-runtime": "2.14.0, in its own environment",
    }
    (litert,) = (runtime for runtime in installation.runtimes if runtime.name == "litert")
    assert litert.install == "pip install 'ai-edge-litert>=2.1'"
    assert f"litert .tflite missing; {litert.install}" in shown(installation)
    assert "keras .keras, .h5, .hdf5 9.8.7" in shown(installation)


def test_without_uv_an_engine_in_a_separate_environment_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    assert "tflite-runtime .tflite missing; pip install 'edgesqz[tflite-runtime]'" in shown(info())


def test_available_datasets_are_shown_with_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "batches.meta").touch()
    installation = info()
    assert installation.datasets["cifar10"] == str(folder)
    assert installation.datasets["cifar100"] is None
    assert "cifar100 not available; downloaded on first use" in shown(installation)


def test_info_looks_in_the_same_folders_as_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "batches.meta").touch()
    monkeypatch.setenv("EDGESQZ_DATA_DIR", str(tmp_path / "data"))
    found = json.loads(CliRunner().invoke(app, ["info", "--json"]).stdout)
    assert found["datasets"]["cifar10"] == str(folder)
    assert found["datasets"]["mnist"] is None
    assert f"mnist not in {tmp_path / 'data'}" in shown(info(data_dir=tmp_path / "data"))


def test_the_json_contains_the_installation() -> None:
    installation = info()
    text = installation.to_json()
    as_data = json.loads(text)
    assert list(as_data) == ["versions", "converters", "readers", "runtimes", "models", "data_dir", "datasets"]
    assert as_data["models"] == list(ARCHITECTURES)
    assert as_data["datasets"] == installation.datasets
    assert as_data["converters"] == {name: list(variants) for name, variants in installation.converters.items()}
    assert [set(runtime) for runtime in as_data["runtimes"]] == 9 * [{"name", "suffixes", "version", "install"}]
    assert text.endswith("}\n")


def test_the_table_shows_how_to_train_each_model() -> None:
    output = shown(info())
    assert "edgesqz train --model squeezenet edgesqz" not in output  # each command on its own model's line
    assert "squeezenet edgesqz train --model squeezenet squeezenet-nano edgesqz train --model squeezenet-nano" in output
    assert "tflite int8, int4, mixed, fp16, dynamic, fp32, int16x8" in output


def test_requirements_and_places_are_shown_as_they_are() -> None:
    install = "pip install 'toy-engine[fast]>=1'"
    installation = dataclasses.replace(
        info(),
        runtimes=(Runtime("toy", (".toy",), None, install),),
        datasets={"cifar10": "/data/[old]/cifar"},
    )
    assert install in shown(installation)
    assert "/data/[old]/cifar" in shown(installation)


def test_info_imports_no_engine() -> None:
    program = (
        "import sys; from edgesqz.installation import info; print(info().models); "
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == [str(tuple(ARCHITECTURES)), "[]"]
