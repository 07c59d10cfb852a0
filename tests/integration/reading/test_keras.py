"""HDF5 files and SavedModel folders of Keras: exported like their source, and never run code."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgesqz
from edgesqz import backend
from edgesqz.artifact import Artifact, size_bytes
from edgesqz.benchmarking.candidate import Candidate, with_source_models
from edgesqz.benchmarking.rows import Measured
from edgesqz.errors import EdgesqzError
from edgesqz.models.loading import load_keras

pytestmark = pytest.mark.usefixtures("tensorflow_in_process")


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
    exports = [tmp_path / "colors.int8.tflite", tmp_path / "saved.int8.tflite"]
    report = edgesqz.bench([tmp_path / "colors.h5", tmp_path / "saved", *exports], dataset=images, rounds=1)
    rows = {row.artifact: row for row in report.rows if isinstance(row, Measured)}
    assert list(rows) == ["colors.h5", "saved", "colors.int8.tflite", "saved.int8.tflite"]
    folder = rows["saved"]
    assert (folder.format, folder.size_bytes) == ("savedmodel", size_bytes(tmp_path / "saved"))
    assert all(row.accuracy and row.comparison and row.comparison.agreement >= 0.95 for row in rows.values())
    found = with_source_models([Candidate(exports[1])])
    assert [each.path for each in found] == [tmp_path / "saved", exports[1]]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_images_of_any_size_need_a_size(images: Path, tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    pixels = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, name="stem")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(pooled))
    with backend.hush():
        model.save(tmp_path / "any.h5")
        model.export(tmp_path / "any", verbose=False)
    with pytest.raises(EdgesqzError, match=r"any.h5 takes images of any size; specify one with input_size"):
        edgesqz.export(tmp_path / "any.h5", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"which input_size cannot fix in this format; save the model again"):
        edgesqz.export(tmp_path / "any", workspace=tmp_path, input_size=24)
    edgesqz.export(tmp_path / "any.h5", workspace=tmp_path, input_size="36x24", pixel_range="0..255")
    manifest = Artifact.open(tmp_path / "any.fp32.tflite").manifest
    assert manifest and manifest.input.shape == (1, 24, 36, 3)
    report = edgesqz.bench([tmp_path / "any.h5", tmp_path / "any.fp32.tflite"], dataset=images, rounds=1)
    assert not report.failed


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_several_inputs_and_outputs_keep_their_order(tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    image, numbers = keras.Input((8, 12, 3), name="image"), keras.Input((5,), name="numbers")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, name="stem")(image))
    scores = keras.layers.Dense(4)(keras.layers.Add()([pooled, keras.layers.Dense(8)(numbers)]))
    model = keras.Model([numbers, image], [scores, pooled])  # TensorFlow's converter swaps the outputs
    with backend.hush():
        model.save(tmp_path / "two.h5")
        model.export(tmp_path / "saved", verbose=False)
    for source, name, names in (("two.h5", "two", ["numbers", "image"]), ("saved", "saved", ["image", "numbers"])):
        edgesqz.export(tmp_path / source, workspace=tmp_path)
        manifest = Artifact.open(tmp_path / f"{name}.fp32.tflite").manifest
        assert manifest and manifest.verification and min(manifest.verification.sqnr_db or ()) > 100
        assert [each.name for each in (manifest.input, *manifest.other_inputs)] == names
        assert [each.shape for each in (manifest.output, *manifest.other_outputs)] == [(1, 4), (1, 8)]


def test_files_that_keras_cannot_load_safely_are_refused(tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    path = tmp_path / "model.h5"
    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    with backend.hush():
        keras.Model(images, keras.layers.Lambda(lambda values: 2 * values)(pooled)).save(path)
        keras.Model(images, pooled).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(EdgesqzError, match=r"model.h5: it has a Lambda layer, whose code edgesqz does not run"):
        edgesqz.export(path)
    with pytest.raises(EdgesqzError, match="contains weights without the network; save the whole model"):
        edgesqz.export(tmp_path / "model.weights.h5")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EdgesqzError, match="it is not a Keras model, or it is truncated"):
        edgesqz.export(path)
