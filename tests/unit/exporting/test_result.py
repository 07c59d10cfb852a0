"""The result of an export as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from edgesqz.artifact import ZOO, Artifact, Images, PixelRange
from edgesqz.cli.output import ExportOutput
from edgesqz.exporting.result import ExportResult, PlannedFile, RefusedFile, verification_summary
from edgesqz.tables import Table


def test_a_reason_that_several_planned_files_share_is_shown_once() -> None:
    files = (
        PlannedFile("a.int8.onnx", 1000, error="no images"),
        PlannedFile("a.fp32.onnx", 4000, exact_bytes=4100),
        PlannedFile("a.int8.tflite", 1000, error="no images"),
        PlannedFile("a.int4.tflite", 500, error="too coarse"),
    )
    (table,) = ExportResult((), files, None, 0).table().renderables
    assert isinstance(table, Table)
    assert table.caption.splitlines()[1:] == ["a.int8.onnx, a.int8.tflite: no images", "a.int4.tflite: too coarse"]


@pytest.mark.parametrize(
    ("planned", "exit_code"),
    [
        ([PlannedFile("a.fp32.tflite", 1000, error="no images"), PlannedFile("a.int8.tflite", 1000, fits=False)], 1),
        ([PlannedFile("a.fp32.tflite", 1000, error="no images"), PlannedFile("a.int8.tflite", 1000, fits=True)], 0),
        ([PlannedFile("a.fp32.tflite", 1000, exact_bytes=900)], 0),
    ],
)
def test_a_dry_run_fails_if_nothing_can_be_exported(planned: list[PlannedFile], exit_code: int) -> None:
    result = ExportResult((), tuple(planned), None, 0)
    try:
        ExportOutput().show(result)
    except typer.Exit as stop:
        assert stop.exit_code == exit_code == 1
    else:
        assert exit_code == 0


def test_files_that_were_not_written_are_in_the_table_and_in_json() -> None:
    refused = (RefusedFile("a.int8.tflite", "too far"), RefusedFile("a.int4.tflite", "too far"))
    result = ExportResult((), (), None, 0, failed=refused, skipped=refused[1:])
    (table,) = result.table().renderables
    assert isinstance(table, Table)
    lines = ["failed: a.int8.tflite, a.int4.tflite: too far", "skipped: a.int4.tflite: too far"]
    assert table.caption.splitlines()[1:] == lines
    assert json.loads(result.to_json())["failed"][0] == {"file_name": "a.int8.tflite", "reason": "too far"}


UNIT = PixelRange.parse("0..1")
AGREES = "agrees with the source model on 99.4% of 500"
TRAINING_IMAGES = f"{AGREES} training images of photos"


@pytest.mark.parametrize(
    ("dataset", "source_pixels", "accuracy", "summary"),
    [
        ("photos", None, 0.75, TRAINING_IMAGES),
        ("photos", UNIT, 0.75, f"{TRAINING_IMAGES}; the source model classifies 75.0% of them correctly"),
        ("photos", UNIT, None, TRAINING_IMAGES),
        ("synthetic", UNIT, None, f"{AGREES} synthetic images, drawn by code (not an accuracy)"),
    ],
)
def test_a_summary_has_the_images_and_the_accuracy_of_a_source_model_from_another_tool(
    dataset: str, source_pixels: PixelRange | None, accuracy: float | None, summary: str
) -> None:
    images = Images(dataset=dataset, split="train", count=500)
    found = Artifact.open(Path(ZOO / "squeezenet-nano.int8.tflite"))
    assert found.manifest and found.manifest.verification
    verification = found.manifest.verification.model_copy(
        update={"images": images, "agreement": 0.994, "source_accuracy": accuracy}
    )
    changes = {"verification": verification, "source_pixels": source_pixels}
    manifest = found.manifest.model_copy(update=changes)
    assert verification_summary(Artifact(found.path, manifest)) == summary
