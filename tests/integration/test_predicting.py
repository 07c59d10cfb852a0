"""Predictions for image files, and the inputs and outputs of ``edgesqz.load``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.predicting import predict

MODEL_FILES = (
    "colors.keras",
    "colors.fp32.tflite",
    "colors.int8.tflite",
    "colors.fp32.onnx",
    "colors.int8.onnx",
)


@pytest.mark.usefixtures("tensorflow_in_process")
@pytest.mark.parametrize("file_name", MODEL_FILES)
def test_every_artifact_recognizes_a_red_image_of_any_size(file_name: str, exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 160, (100, 60, 3), np.uint8)
    pixels[..., 0] += 95
    Image.fromarray(pixels).resize((30, 50)).resize((60, 100)).save(tmp_path / "red.jpg")
    found = predict(file_name, [tmp_path / "red.jpg"], workspace=exported)
    (prediction,) = found.images
    assert prediction.guesses[0].label == "red"
    assert sum(guess.probability for guess in prediction.guesses) == pytest.approx(1, abs=0.02)


def test_predictions_are_a_table_and_json(exported: Path, images: Path) -> None:
    found = predict("colors.int8.tflite", [images / "test/blue/0.png"], workspace=exported)
    as_data = json.loads(found.to_json())
    assert as_data["artifact"] == "colors.int8.tflite"
    assert as_data["images"][0]["guesses"][0]["label"] == "blue"
    assert len(found.table().rows) == 3


def test_a_folder_means_every_image_in_it_and_an_unreadable_one_affects_only_its_line(
    exported: Path, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    for name, source in (("b/2.png", "blue/1.png"), ("b/1.PNG", "red/0.png"), ("a.png", "green/0.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / "test" / source, folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / "torn.png").write_bytes(b"\x89PNG torn")
    (folder / "b" / ".hidden.png").write_bytes(b"")
    alone = tmp_path / "absent.png"
    found = predict("colors.int8.tflite", [folder, alone], workspace=exported)
    assert [prediction.image for prediction in found.images] == [
        *(str(folder / name) for name in ("a.png", "b/1.PNG", "b/2.png", "torn.png")),
        str(alone),
    ]
    labels = [prediction.guesses[0].label for prediction in found.images if prediction.guesses]
    assert labels == ["green", "red", "blue"]
    assert [bool(prediction.error) for prediction in found.images] == [False, False, False, True, True]
    assert [str(path) in line for path, line in zip((folder / "torn.png", alone), found.failures(), strict=True)]
    assert json.loads(found.to_json())["images"][3]["guesses"] == []
    assert sum(row is not None for row in found.table().rows) == 3 * 3 + 2


def test_a_folder_without_images_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgesqzError, match="no image file in the folder .*empty"):
        predict("colors.int8.tflite", [tmp_path / "empty"], workspace=exported)


def test_load_returns_an_engine_that_predicts_probabilities(exported: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), np.uint8)
    with edgesqz.load(exported / "colors.fp32.onnx") as model:
        probabilities = model.predict(images)
    assert probabilities.shape == (7, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 32, 32), np.uint8), ((1, 16, 16, 3), np.uint8), ((1, 32, 32, 3), np.float32)]
)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], dtype: type, exported: Path) -> None:
    with (
        edgesqz.load(exported / "colors.fp32.tflite") as model,
        pytest.raises(edgesqz.EdgesqzError, match=r"expected images of shape \(N, 32, 32, 3\) and dtype uint8"),
    ):
        model.predict(np.zeros(shape, dtype))


def test_a_file_from_another_tool_needs_a_pixel_range(exported: Path, images: Path, tmp_path: Path) -> None:
    content = (exported / "colors.int8.tflite").read_bytes()
    (tmp_path / "theirs.tflite").write_bytes(content)
    image = images / "test/green/0.png"
    with pytest.raises(EdgesqzError, match="try pixel_range -2..1.984"):
        predict(tmp_path / "theirs.tflite", [image])
    prediction = predict(tmp_path / "theirs.tflite", [image], pixel_range="-2..1.984")
    known = predict(exported / "colors.int8.tflite", [image])
    assert [guess.probability for guess in prediction.images[0].guesses] == [
        guess.probability for guess in known.images[0].guesses
    ]


def test_one_image_and_a_model_can_be_strings(exported: Path, images: Path) -> None:
    found = edgesqz.predict("colors.int8.tflite", str(images / "test/blue/0.png"), workspace=str(exported))
    assert [prediction.guesses[0].label for prediction in found.images] == ["blue"]
