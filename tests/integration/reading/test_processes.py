"""TensorFlow's readers and engine in separate processes. Other tests run them in the process of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgesqz
from edgesqz import backend, plugins
from edgesqz.artifact import Artifact
from edgesqz.reading import to_tflite
from edgesqz.tflite import extending


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_models_of_keras_are_converted_in_a_process(tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(images)))
    with backend.hush():
        model.save(tmp_path / "model.h5")
        model.export(tmp_path / "saved", verbose=False)
    converted = to_tflite(plugins.readers()["keras"], (tmp_path / "model.h5").read_bytes(), ".h5").content
    assert extending.input_shapes(converted) == [(1, 8, 8, 3)]
    edgesqz.export(tmp_path / "saved", workspace=tmp_path)
    manifest = Artifact.open(tmp_path / "saved.fp32.tflite").manifest
    assert manifest and manifest.verification
