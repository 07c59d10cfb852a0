"""Images that are not square, in train, export, bench and predict. The tests of embed include such images as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgesqz
from edgesqz.artifact import Artifact
from edgesqz.image_size import ImageSize
from edgesqz.predicting import predict

FILES = [f"colors.{kind}" for kind in ("keras", "fp32.onnx", "int8.onnx", "fp32.tflite", "int8.tflite")]


@pytest.mark.usefixtures("tensorflow_in_process")
def test_every_file_is_measured(wide: Path) -> None:
    report = edgesqz.bench(rounds=1, workspace=wide)
    assert [row.artifact for row in report.rows] == FILES
    assert not report.failed
    for row in report.measured:
        assert row.performance is not None
        assert row.accuracy is not None and row.comparison is not None
    manifest = Artifact.open(wide / "colors.keras").manifest
    assert manifest and manifest.training and manifest.training["recipe"]["input_size"] == "36x24"
    assert report.dataset and report.dataset.images == 12


@pytest.mark.parametrize("file_name", ["colors.int8.onnx", "colors.int8.tflite"])
def test_files_predict_images(file_name: str, wide: Path, wide_images: Path) -> None:
    path = wide_images / "test" / "red" / "0.png"
    (found,) = predict(file_name, [path], workspace=wide).images
    with edgesqz.load(wide / file_name) as model:
        assert model.image_format == (ImageSize(height=24, width=36), 3)
        (expected,) = model.predict(np.asarray(Image.open(path))[None])
    assert found.guesses[0].probability == pytest.approx(expected.max())
