"""The source model of an export is found by its file or its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz import plugins
from edgesqz.artifact import PixelRange
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.exporting.source import find_source
from edgesqz.workspace import Workspace


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("photo.png", "photo.png"),
        ("model.pt", r"model.pt; load your model and run torch.export.save"),
        ("folder", "the folder folder without a saved_model.pb"),
    ],
)
def test_a_file_or_folder_that_no_reader_reads_is_refused_with_the_formats(name: str, given: str) -> None:
    Path("folder").mkdir()
    Path("photo.png").touch()
    Path("model.pt").touch()
    with pytest.raises(EdgesqzError, match=f"^expected a model in one of the formats .*, got {given}") as refusal:
        find_source(Export(name), Workspace(Path("workspace")), None)
    for suffix in plugins.readable_suffixes():
        assert ("SavedModel folder" if suffix == ".savedmodel" else suffix) in str(refusal.value)


def test_an_export_in_the_zoo_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*arguments: object) -> None:
        raise plugins.QuantizedError

    monkeypatch.setattr(plugins, "prepare", prepare)
    message = (
        r"^squeezenet\.int4\.tflite \(the zoo\): it is already quantized; use it as it is, for example with edgesqz"
    )
    with pytest.raises(EdgesqzError, match=message):
        find_source(Export("squeezenet.int4.tflite"), Workspace(Path("workspace")), None)


def test_a_pixel_range_that_the_manifest_contradicts_is_refused_with_the_name_of_the_model() -> None:
    message = r"^squeezenet-nano, according to its manifest, expects pixels 0\.\.255; remove pixel_range 0\.\.1$"
    with pytest.raises(EdgesqzError, match=message):
        find_source(Export("squeezenet-nano"), Workspace(Path("workspace")), PixelRange.parse("0..1"))


def test_a_folder_does_not_hide_a_model_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("squeezenet").mkdir()
    monkeypatch.setattr("edgesqz.models.loading._load", lambda path, size: None)
    assert find_source(Export("squeezenet"), Workspace(Path("workspace")), None).name == "squeezenet"
