"""Models that do not take one image: verified and timed on the values of their inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz.artifact import Artifact, Manifest
from edgesqz.benchmarking.rows import Measured
from edgesqz.errors import EdgesqzError
from tests.conftest import MakeOnce
from tests.engine_environments import reader_or_skip
from tests.foreign import mixed_onnx


@pytest.fixture(scope="module")
def mixed(make_once: MakeOnce) -> Path:
    """Return a folder with an ONNX model with three inputs, its exports, and a file of values."""
    reader_or_skip("onnx")

    def convert(home: Path) -> None:
        rng = np.random.default_rng(0)
        images, ids = rng.random((60, 3, 8, 12)), rng.integers(0, 20, (60, 4))
        np.savez(home / "values.npz", image=images, numbers=rng.normal(size=(60, 1, 5)), ids=ids)
        source = mixed_onnx(home / "mixed.onnx")
        edgesqz.export(source, ["tflite", "onnx"], variant=["fp32", "dynamic"], workspace=home)
        edgesqz.export(source, ["tflite", "onnx"], variant="int8", workspace=home, dataset=home / "values.npz")

    return make_once("mixed", convert)


def manifest(path: Path) -> Manifest:
    found = Artifact.open(path).manifest
    assert found and found.verification
    return found


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_exports_are_verified_by_the_values_of_their_outputs(suffix: str, mixed: Path) -> None:
    for variant, least, samples in (
        ("fp32", 100, "100 random samples"),
        ("dynamic", 25, "100 random samples"),
        ("int8", 14, "12 samples of values.npz"),
    ):
        found = manifest(mixed / f"mixed.{variant}.{suffix}")
        assert found.verification and found.verification.sqnr_db
        assert len(found.verification.sqnr_db) == 2 and min(found.verification.sqnr_db) > least
        assert found.verification.images.describe() == samples
        assert not (found.is_classifier or found.labels or found.dataset)
        assert "pixels" not in json.loads((mixed / f"mixed.{variant}.{suffix}.json").read_text())
        # The image has channels last, and the order of the inputs is that of the source model.
        shapes = {each.name: each.shape for each in (found.input, *found.other_inputs)}
        assert list(shapes.items()) == [("numbers", (1, 5)), ("image", (1, 8, 12, 3)), ("ids", (1, 4))]
        assert [each.name for each in edgesqz.inspect(mixed / f"mixed.{variant}.{suffix}").inputs] == list(shapes)


def test_an_int8_file_takes_each_input_at_its_own_scale(mixed: Path) -> None:
    found = manifest(mixed / "mixed.int8.tflite")
    numbers, image, ids = (found.input, *found.other_inputs)
    assert (numbers.dtype, image.dtype, ids.dtype) == ("int8", "int8", "int64")
    assert numbers.scale and image.scale and 3 < numbers.scale / image.scale < 10


def test_everything_but_accuracy_is_measured(mixed: Path) -> None:
    files = [mixed / "mixed.onnx", mixed / "mixed.fp32.tflite", mixed / "mixed.int8.onnx", mixed / "mixed.int8.tflite"]
    report = edgesqz.bench(files, rounds=1, layers=True)
    rows = {row.artifact: row for row in report.rows if isinstance(row, Measured)}
    assert len(rows) == 4
    for row in rows.values():
        assert row.p50_us and row.performance and row.performance.latency_ratio
        assert row.evaluation is None
    assert (report.dataset, report.without_accuracy()) == (None, [])
    assert report.title() == "no accuracy: the input is not a single image, so the model ran on random values"
    assert ((rows["mixed.int8.tflite"].layer_sqnr_db or {})["map"] or 0) > 20


def test_what_such_models_do_not_take_is_refused(mixed: Path, images: Path, tmp_path: Path) -> None:
    source = mixed / "mixed.onnx"
    with pytest.raises(EdgesqzError, match=r"calibration; set dataset to an .npz file .* numbers, image, ids"):
        edgesqz.export(source, quantize=True, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"so dataset must be an .npz file with an array for each input"):
        edgesqz.export(source, dataset=images, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"so its exports take the same values as the model; remove pixel_range"):
        edgesqz.export(source, pixel_range="0..1", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"not an image classifier, so it has no accuracy; use max_size instead"):
        edgesqz.export(source, variant="mixed", max_accuracy_drop=1, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"does not take images of 96x96; remove input_size"):
        edgesqz.export(source, input_size=96, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"input ids is not fixed: .*; fix it with .*make_dynamic_shape_fixed"):
        edgesqz.export(mixed_onnx(tmp_path / "any.onnx", length="length"), workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"is not a classifier, so it has no labels to predict"):
        edgesqz.predict(mixed / "mixed.fp32.tflite", next(images.rglob("*.png")))
    with pytest.raises(EdgesqzError, match=r"expected a classifier, with one output of one number per class"):
        edgesqz.embed(mixed / "mixed.fp32.tflite", target="micro", out=tmp_path / "firmware")
    assert not list(tmp_path.glob("*.tflite"))
