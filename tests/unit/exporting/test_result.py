"""The result of an export as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz.artifact import ZOO, Artifact, Images
from edgesqz.exporting.result import ExportResult, PlannedFile, verification_summary
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
    ("dataset", "accuracy", "summary"),
    [
        ("cifar10", 0.75, "agrees with the source model (accuracy 75.0%) on 99.4% of 500 training images of cifar10"),
        (
            "synthetic",
            None,
            "agrees with the source model on 99.4% of 500 synthetic images, drawn by code (not an accuracy)",
        ),
    ],
)
def test_a_summary_has_the_images_and_the_accuracy_of_the_source_model(
    dataset: str, accuracy: float | None, summary: str
) -> None:
    images = Images(dataset=dataset, split="train", count=500)
    found = Artifact.open(Path(ZOO / "squeezenet-nano.int8.tflite"))
    assert found.manifest and found.manifest.verification
    verification = found.manifest.verification.model_copy(
        update={"images": images, "agreement": 0.994, "source_accuracy": accuracy}
    )
    manifest = found.manifest.model_copy(update={"verification": verification})
    assert verification_summary(Artifact(found.path, manifest)).endswith(summary)
