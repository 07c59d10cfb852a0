"""Packing: the same model in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import edgesqz
from edgesqz import data, plugins
from edgesqz.artifact import Artifact
from edgesqz.engine import Engine
from edgesqz.tflite import packing


@pytest.fixture(scope="module", params=["fp32", "dynamic", "int8"])
def artifact(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A trained network converted by TensorFlow's converter, without packing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins.converter("tflite"), "packed", bytes)
        (artifact,) = edgesqz.export(
            trained / "colors.keras",
            variant=request.param,
            calibration=20 if request.param == "int8" else None,
            workspace=tmp_path_factory.mktemp("unpacked"),
        )
    return artifact


@pytest.fixture(scope="module")
def unpacked(artifact: Artifact) -> bytes:
    return artifact.path.read_bytes()


def test_a_packed_file_is_smaller_and_predicts_the_same(artifact: Artifact, images: Path) -> None:
    unpacked = artifact.path.read_bytes()
    packed = packing.packed(unpacked)
    assert len(packed) < len(unpacked) - 3000
    outputs = []
    for content in (unpacked, packed):
        assert artifact.manifest
        with Engine(content, "litert", pixels=artifact.manifest.pixels) as engine:
            outputs.append(engine.predict(data.load(str(images)).test().images))
    before, after = outputs
    np.testing.assert_array_equal(after, before)


def test_a_packed_file_describes_the_same_tensors(unpacked: bytes) -> None:
    one, other = (
        schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].tensors
        for content in (unpacked, packing.packed(unpacked))
    )
    for before, after in zip(one, other, strict=True):
        assert before.name.startswith(after.name.partition(b".")[0])
        assert (before.type, list(before.shape)) == (after.type, list(after.shape))
        for fact in ("scale", "zeroPoint"):
            found, expected = (getattr(tensor.quantization, fact, None) for tensor in (after, before))
            np.testing.assert_array_equal(found, expected)
    assert len({tensor.name for tensor in other}) == len(other)


def test_the_data_of_tensors_are_aligned(unpacked: bytes) -> None:
    packed = packing.packed(unpacked)
    model = schema.Model.GetRootAs(packed, 0)
    places = [
        buffer._tab.Vector(buffer._tab.Offset(4))
        for buffer in (model.Buffers(number) for number in range(model.BuffersLength()))
        if buffer.DataLength()
    ]
    assert len(places) > 10
    assert not any(place % 16 for place in places)


def test_packing_twice_changes_nothing(unpacked: bytes) -> None:
    packed = packing.packed(unpacked)
    assert packing.packed(packed) == packed
