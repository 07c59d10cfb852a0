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
    ("images", "summary"),
    [
        (Images(dataset="cifar10", split="train", count=500), "on 99.4% of 500 training images of cifar10"),
        (Images(dataset="synthetic", split="train", count=500), "drawn by code (not an accuracy)"),
    ],
)
def test_a_summary_names_the_images_of_the_verification(images: Images, summary: str) -> None:
    found = Artifact.open(Path(ZOO / "squeezenet-nano.int8.tflite"))
    assert found.manifest and found.manifest.verification
    verification = found.manifest.verification.model_copy(update={"images": images, "agreement": 0.994})
    manifest = found.manifest.model_copy(update={"verification": verification})
    assert verification_summary(Artifact(found.path, manifest)).endswith(summary)
