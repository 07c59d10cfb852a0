"""Labels and the pixel range inside a .tflite file: an independent reader finds them, and predictions are the same."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesqz import EdgesqzError, data, plugins
from edgesqz.artifact import ZOO, Artifact, Manifest
from edgesqz.engine import Engine
from edgesqz.inspecting import inspect
from edgesqz.tflite import metadata

MODEL = ZOO / "squeezenet-nano.int8.tflite"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    found = Artifact.open(MODEL).manifest
    assert found
    return found


@pytest.fixture(scope="module")
def described(manifest: Manifest) -> bytes:
    return metadata.with_metadata(MODEL.read_bytes(), manifest, manifest.labels)


class Table:
    """A flatbuffer table by its field numbers, read according to the format's documentation."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place

    def at(self, field: int) -> int:
        fields = self.place - self.number("<i", self.place)
        return self.place + int(self.number("<H", fields + 4 + 2 * field))

    def number(self, form: str, place: int) -> Any:
        return struct.unpack_from(form, self.content, place)[0]

    def follow(self, place: int) -> int:
        return place + int(self.number("<I", place))

    def table(self, field: int) -> Table:
        return Table(self.content, self.follow(self.at(field)))

    def first(self, field: int) -> Table:
        """The only table of a vector."""
        vector = self.follow(self.at(field))
        assert self.number("<I", vector) == 1
        return Table(self.content, self.follow(vector + 4))

    def text(self, field: int) -> str:
        place = self.follow(self.at(field))
        return self.content[place + 4 : place + 4 + self.number("<I", place)].decode()

    def float(self, field: int) -> float:
        vector = self.follow(self.at(field))
        assert self.number("<I", vector) == 1
        return float(self.number("<f", vector + 4))

    def kind(self, field: int) -> int:
        return self.content[self.at(field)]


def entry(described: bytes) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(described, 0)
    (found,) = (each for each in model.metadata if each.name == b"TFLITE_METADATA")
    return bytes(model.buffers[found.buffer].data)


def test_another_reader_finds_the_pixels_and_the_labels(described: bytes) -> None:
    content = entry(described)
    assert content[4:8] == b"M001"
    graph = Table(content, struct.unpack_from("<I", content)[0]).first(3)
    image, probability = graph.first(2), graph.first(3)
    assert image.table(3).kind(0) == 2  # ImageProperties
    assert image.table(3).table(1).kind(0) == 1  # RGB
    assert image.first(4).kind(0) == 1  # NormalizationOptions
    normalization = image.first(4).table(1)
    assert (normalization.float(0), normalization.float(1)) == (128, 64)
    labels = probability.first(6)
    assert (labels.text(0), labels.kind(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines()[:2] == ["airplane", "automobile"]


def test_inspect_shows_what_was_written(described: bytes, tmp_path: Path) -> None:
    (tmp_path / "described.tflite").write_bytes(described)
    metadata = inspect(tmp_path / "described.tflite").metadata["TFLITE_METADATA"]
    assert metadata["input 0"]["mean"] == [128] and metadata["input 0"]["std"] == [64]
    assert metadata["output 0"]["labels"] == ["labels.txt"]
    assert metadata["files"]["labels.txt"][:3] == ["airplane", "automobile", "bird"]
    assert "TFLITE_METADATA" not in inspect(MODEL).metadata


def test_metadata_of_a_gray_float_file(manifest: Manifest) -> None:
    gray = manifest.input.model_copy(update={"shape": (1, 32, 32, 1)})
    changed = manifest.model_copy(update={"input": gray, "pixels": manifest.pixels.model_copy(update={"offset": 0.5})})
    content = entry(metadata.with_metadata(MODEL.read_bytes(), changed, ["two\nlines"]))
    image = Table(content, struct.unpack_from("<I", content)[0]).first(3).first(2)
    assert image.table(3).table(1).kind(0) == 2  # GRAYSCALE
    assert image.first(4).table(1).float(0) == -32


@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime", "tflite-micro"])
def test_every_engine_predicts_the_same_with_and_without_metadata(
    runtime: str, described: bytes, manifest: Manifest
) -> None:
    images = data.draw(20, 32, seed=1).images
    outputs = []
    for content in (MODEL.read_bytes(), described):
        try:
            engine = Engine(content, runtime, pixels=manifest.pixels)
        except EdgesqzError as error:
            if plugins.runtimes()[runtime].PYTHON and "cannot create an environment" in str(error):
                pytest.skip(str(error))
            raise
        with engine:
            outputs.append(engine.predict(images))
    without, with_metadata = outputs
    np.testing.assert_array_equal(with_metadata, without)


def test_metadata_adds_less_than_a_kilobyte_and_keeps_the_data_aligned(described: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    assert 0 < len(described) - MODEL.stat().st_size < 1000
    model = schema.Model.GetRootAs(described, 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    assert not [b for b in buffers if b.DataLength() and b._tab.Vector(b._tab.Offset(4)) % 16]


def test_damaged_metadata_is_reported(described: bytes, tmp_path: Path) -> None:
    path = tmp_path / "torn.tflite"
    path.write_bytes(described.replace(b"M001", b"M999"))
    with pytest.raises(EdgesqzError, match="torn.tflite is not a .tflite file or is damaged: its TFLITE_METADATA"):
        inspect(path)
    path.write_bytes(described.replace(b"airplane", b"airplAne"))
    with pytest.raises(EdgesqzError, match="the archive after it: Bad CRC-32"):
        inspect(path)
