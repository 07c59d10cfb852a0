"""HDF5 files and SavedModel folders of Keras: exported like their source, and never run code."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

import edgesqz
from edgesqz import backend
from edgesqz.artifact import Artifact
from edgesqz.errors import EdgesqzError
from edgesqz.models.loading import load_keras


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_an_hdf5_file_and_a_saved_model_are_exported(trained: Path, images: Path, tmp_path: Path) -> None:
    model = load_keras(trained / "colors.keras")
    with backend.hush():
        model.save(tmp_path / "colors.h5")
        model.export(tmp_path / "saved", verbose=False)
    for source, name in ((tmp_path / "colors.h5", "colors"), (tmp_path / "saved", "saved")):
        edgesqz.export(source, quantize=True, dataset=images, workspace=tmp_path, calibration=50)
        manifest = Artifact.open(tmp_path / f"{name}.int8.tflite").manifest
        assert manifest and manifest.verification
        assert (manifest.verification.agreement or 0) >= 0.95
        assert manifest.labels == ("blue", "green", "red")
    report = edgesqz.bench([tmp_path / "colors.h5", tmp_path / "colors.int8.tflite"], dataset=images, rounds=1)
    assert [row.artifact for row in report.rows] == ["colors.h5", "colors.int8.tflite"]
    assert not [row for row in report.rows if hasattr(row, "error")]


def test_files_that_keras_cannot_load_safely_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    with backend.hush():
        keras.Model(images, keras.layers.Lambda(lambda values: 2 * values)(pooled)).save(path)
        keras.Model(images, pooled).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(EdgesqzError, match=r"model.h5: it has a Lambda layer, whose code edgesqz does not run"):
        edgesqz.export(path)
    with pytest.raises(EdgesqzError, match="holds weights without the network; save the whole model"):
        edgesqz.export(tmp_path / "model.weights.h5")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EdgesqzError, match="not an HDF5 file, or it is truncated"):
        edgesqz.export(path)
