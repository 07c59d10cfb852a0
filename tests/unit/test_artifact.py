"""Model files and their manifests: a round trip changes nothing, and mismatches are rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.artifact import (
    Artifact,
    Images,
    Manifest,
    PixelRange,
    Tensor,
    Verification,
    package_versions,
    sha256,
    stored_form,
)
from edgesqz.image_size import ImageSize
from edgesqz.workspace import Workspace

CONTENT = b"the bytes of a model"
ORIGINAL = Manifest(
    name="squeezenet-nano",
    variant="fp32",
    format="keras",
    size_bytes=len(CONTENT),
    sha256=sha256(CONTENT),
    input=Tensor(shape=(None, 32, 32, 3), dtype="float32"),
    output=Tensor(shape=(None, 2), dtype="float32"),
    pixels=PixelRange(),
    labels=("cat", "Hündin"),
    training={"recipe": {"epochs": 3}, "validation_accuracy": 0.75},
    versions={"edgesqz": "0.1.0"},
)
EXPORT = Manifest(
    name="squeezenet-nano",
    variant="int8",
    format="tflite",
    size_bytes=len(CONTENT),
    sha256=sha256(CONTENT),
    input=Tensor(shape=(1, 32, 32, 3), dtype="int8", scale=1 / 64, zero_point=0),
    output=Tensor(shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128),
    pixels=PixelRange(scale=1 / 64, offset=-2),
    labels=("cat", "dog"),
    dataset="cifar10",
    source_sha256=sha256(b"the source model"),
    calibration=Images(dataset="cifar10", split="train", count=500, seed=0),
    verification=Verification(
        images=Images(dataset="cifar10", split="train", count=200, seed=1), agreement=0.995, max_error=0.02
    ),
    versions={"edgesqz": "0.1.0", "tensorflow": "2.21.0"},
)


def stored(folder: Path, manifest: Manifest = ORIGINAL, file_name: str = "net.keras") -> Path:
    Workspace(folder).write(stored_form(CONTENT, manifest, file_name))
    return folder / file_name


def changed_manifest(path: Path, changes: dict[str, Any]) -> bytes:
    """Write the manifest of a model file with some fields changed, or omitted if the value is ``...``."""
    fields = json.loads((path.parent / f"{path.name}.json").read_text()) | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


# Tensors


@pytest.mark.parametrize(
    ("shape", "height", "width", "channels"),
    [
        ((None, 32, 48, 3), 32, 48, 3),
        ((1, 120, 160, 1), 120, 160, 1),
        ((None, 3, 32, 48), 32, 48, 3),
        ((4, 1, 48, 32), 48, 32, 1),
    ],
)
def test_an_input_states_the_size_of_its_images(
    shape: tuple[int | None, ...], height: int, width: int, channels: int
) -> None:
    assert Tensor(shape=shape, dtype="int8").image_format == (ImageSize(height, width), channels)


@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 32, None, 3), (1, 32, 32, 4), (1, 32, 3), (1, 784)])
def test_an_input_without_a_fixed_image_size_is_rejected(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(EdgesqzError, match=r"expected a model for images of one size, RGB or gray; its input is \("):
        _ = Tensor(shape=shape, dtype="int8").image_format


# Manifests


@pytest.mark.parametrize("manifest", [ORIGINAL, EXPORT], ids=["source_model", "export"])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest, tmp_path: Path) -> None:
    artifact = Artifact.open(stored(tmp_path, manifest))
    assert artifact.manifest == manifest
    assert artifact.path.read_bytes() == CONTENT
    assert artifact.size_bytes == len(CONTENT)


def test_a_manifest_omits_unknown_values_but_keeps_open_sizes(tmp_path: Path) -> None:
    path = stored(tmp_path)
    text = (tmp_path / "net.keras.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    assert fields["input"] == {"shape": [None, 32, 32, 3], "dtype": "float32"}
    assert not {"dataset", "source_sha256", "calibration", "verification"} & set(fields)
    assert text.endswith("}\n")
    assert Artifact.open(path).manifest == ORIGINAL


def test_a_file_without_a_manifest_has_none(tmp_path: Path) -> None:
    path = tmp_path / "found.onnx"
    path.write_bytes(CONTENT)
    assert Artifact.open(path) == Artifact(path, None)


def test_the_error_for_a_missing_file_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"no model file .*gone\.keras"):
        Artifact.open(tmp_path / "gone.keras")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"name": "squee'])
def test_the_error_for_a_damaged_manifest_names_its_path(content: bytes, tmp_path: Path) -> None:
    path = stored(tmp_path)
    (tmp_path / "net.keras.json").write_bytes(content)
    with pytest.raises(EdgesqzError, match=r"net\.keras\.json is not an edgesqz manifest"):
        Artifact.open(path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"color": "red"}, "color"),
        ({"labels": ...}, "labels"),
        ({"size_bytes": "many"}, "size_bytes"),
        ({"input": {"shape": [1], "dtype": "int8", "stride": 1}}, r"input\.stride"),
    ],
)
def test_the_error_for_a_manifest_with_unknown_fields_names_the_field(
    changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    path = stored(tmp_path)
    (tmp_path / "net.keras.json").write_bytes(changed_manifest(path, changes))
    with pytest.raises(EdgesqzError, match=rf"net\.keras\.json is not an edgesqz manifest: {field} "):
        Artifact.open(path)


def test_a_manifest_of_other_bytes_is_rejected(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(CONTENT[:-1] + b"L")
    with pytest.raises(EdgesqzError, match=r"net\.keras does not match its manifest net\.keras\.json"):
        Artifact.open(path)


def test_versions_are_the_installed_ones() -> None:
    import numpy

    assert package_versions("numpy") == {"edgesqz": "0.1.0", "numpy": numpy.__version__}


# Class names


def test_labels_of_the_manifest_are_the_class_names(tmp_path: Path) -> None:
    assert Artifact(tmp_path, ORIGINAL).class_names(2) == ("cat", "Hündin")


@pytest.mark.parametrize("manifest", [None, ORIGINAL])
def test_classes_without_labels_are_numbered(manifest: Manifest | None, tmp_path: Path) -> None:
    assert Artifact(tmp_path, manifest).class_names(3) == ("class 0", "class 1", "class 2")


# Pixel ranges


@pytest.mark.parametrize(
    ("text", "low", "high"), [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1), ("-2.5..-0.5", -2.5, -0.5)]
)
def test_a_pixel_range_maps_the_ends(text: str, low: float, high: float) -> None:
    pixels = PixelRange.parse(text)
    assert pixels.scale * 0 + pixels.offset == low
    assert pixels.scale * 255 + pixels.offset == pytest.approx(high, abs=1e-12)


def test_a_pixel_range_defaults_to_raw_pixels() -> None:
    assert PixelRange() == PixelRange.parse("0..255")


@pytest.mark.parametrize(
    "text",
    [
        *("", "0..", "0-1", "low..high", "0..1..2", "1..0", "1..1", "nan..1", "0..nan"),
        *("0..inf", "-inf..0", "-1e308..1e308"),
    ],
)
def test_an_invalid_pixel_range_is_refused(text: str) -> None:
    with pytest.raises(EdgesqzError, match=r"expected a pixel range LOW\.\.HIGH") as refusal:
        PixelRange.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("dataset", "split", "described"),
    [
        ("cifar10", "train", "1,000 training images of cifar10"),
        ("photos", "test", "1,000 test images of photos"),
        ("synthetic", "train", "1,000 synthetic images, drawn by code"),
    ],
)
def test_images_are_described_by_their_number_and_origin(dataset: str, split: str, described: str) -> None:
    assert Images(dataset=dataset, split=split, count=1000).describe() == described
