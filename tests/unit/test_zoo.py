"""The zoo: each network matches its manifest, and how networks are added."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import edgesqz
from edgesqz.artifact import ZOO, Artifact, Manifest
from edgesqz.benchmarking.report import Report
from edgesqz.lookup import model_files
from edgesqz.zoo import __main__ as zoo

NETWORKS = ("squeezenet", "squeezenet-nano")
FILES = tuple(f"{name}.{kind}" for name in NETWORKS for kind in ("keras", "int4.tflite", "int8.onnx", "int8.tflite"))


def manifest_of(path: Path) -> Manifest:
    manifest = Artifact.open(path).manifest
    assert manifest
    return manifest


def accuracy_of(file_name: str) -> float:
    evaluation = manifest_of(ZOO / file_name).test
    assert evaluation
    return evaluation.accuracy


def test_the_zoo_contains_each_network_with_its_exports() -> None:
    assert {path.name for path in model_files(ZOO)} == set(FILES)


@pytest.mark.parametrize("file_name", FILES)
def test_each_file_records_its_origin_and_its_accuracy(file_name: str) -> None:
    manifest = manifest_of(ZOO / file_name)
    assert manifest.dataset == "cifar10"
    assert manifest.test and manifest.test.times >= 1
    assert manifest.test.images.model_dump(exclude_none=True) == {
        "dataset": "cifar10",
        "split": "test",
        "count": 10_000,
    }
    if manifest.format == "keras":
        assert manifest.training
        assert {"recipe", "minutes", "machine"} <= set(manifest.training)
    else:
        is_export = manifest.source_sha256 == manifest_of(ZOO / f"{manifest.name}.keras").sha256
        assert is_export is (manifest.variant != "int4")  # of the network after fine-tuning for int4
        assert manifest.calibration and manifest.calibration.split == "train"
        assert manifest.verification and (manifest.verification.agreement or 0) >= 0.95


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_loses_little(name: str) -> None:
    assert accuracy_of(f"{name}.int8.tflite") >= accuracy_of(f"{name}.keras") - 0.003


@pytest.mark.parametrize(
    ("name", "size_bytes", "accuracy"), [("squeezenet", 262_000, 0.92), ("squeezenet-nano", 56_000, 0.888)]
)
def test_int4_halves_the_bytes(name: str, size_bytes: int, accuracy: float) -> None:
    assert manifest_of(ZOO / f"{name}.int4.tflite").size_bytes <= size_bytes
    assert accuracy_of(f"{name}.int4.tflite") >= accuracy


@pytest.mark.parametrize(
    ("name", "bytes_of_reference", "accuracy_of_reference"),
    [("squeezenet", 512_024, 0.9131), ("squeezenet-nano", 98_496, 0.8697)],
)
def test_each_network_is_smaller_and_better_than_mlperf_tinys(
    name: str, bytes_of_reference: int, accuracy_of_reference: float
) -> None:
    assert manifest_of(ZOO / f"{name}.int8.tflite").size_bytes < bytes_of_reference
    assert accuracy_of(f"{name}.int8.tflite") > accuracy_of_reference


def test_measured_files_are_added_with_their_accuracy(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "zoo"
    ours.mkdir()
    monkeypatch.setattr(zoo, "ZOO", ours)
    names = ["squeezenet-nano.keras", "squeezenet-nano.int8.tflite"]
    elsewhere = shutil.copy(workspace / names[1], tmp_path / "foreign.tflite")
    report = edgesqz.bench([*(workspace / name for name in names), elsewhere], rounds=1)
    saved = tmp_path / "report.json"
    saved.write_text(report.to_json())
    for times in (1, 2):
        admitted = zoo.admit(workspace, Report.read(saved))
        assert [path.name for path in admitted] == names
        for path, row in zip(admitted, report.measured, strict=False):
            evaluation = manifest_of(path).test
            assert evaluation and (evaluation.accuracy, evaluation.times) == (row.accuracy, times)
            assert manifest_of(path).model_copy(update={"test": None}) == manifest_of(workspace / path.name)
