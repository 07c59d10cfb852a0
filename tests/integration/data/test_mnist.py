"""MNIST, and the network for grayscale images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

import edgesqz
from edgesqz import backend, data
from edgesqz.errors import EdgesqzError
from edgesqz.predicting import predict
from tests.stripes import draw, write_mnist


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small mnist.npz."""
    return write_mnist(tmp_path)


def test_it_is_downloaded_by_keras_if_not_available(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.start_keras()
    import keras

    home = Path(os.environ["KERAS_HOME"]) / "datasets"

    def fetch() -> None:
        home.mkdir(parents=True)
        (folder / "mnist.npz").rename(home / "mnist.npz")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fetch)
    assert data.locate("mnist") is None
    assert len(data.load("mnist").train()) == 300
    assert data.locate("mnist") == home / "mnist.npz"


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    backend.start_keras()
    import keras

    def fail() -> None:
        raise Exception("URL fetch failure on somewhere: None -- no route\nand more")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(EdgesqzError, match="cannot download mnist: URL fetch failure.*no route; .*data_dir") as error:
        data.load("mnist").train()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("tensorflow_in_process")
def test_digits_passes_all_steps(folder: Path) -> None:
    workspace = folder / "workspace"
    edgesqz.train("digits", "mnist", data_dir=folder, epochs=10, batch_size=32, learning_rate=0.02, workspace=workspace)
    edgesqz.export("digits", ["tflite", "onnx"], quantize=True, data_dir=folder, calibration=50, workspace=workspace)
    report = edgesqz.bench(data_dir=folder, rounds=1, workspace=workspace)
    assert not report.failed
    for row in report.measured:
        assert row.accuracy is not None and row.accuracy > 0.9
    images, _ = draw(10, 2)
    Image.fromarray(images[7]).convert("RGB").save(folder / "seven.png")
    found = predict("digits.int8.tflite", [folder / "seven.png"], workspace=workspace)
    assert found.images[0].guesses[0].label == "7"
