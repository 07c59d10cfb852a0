"""The source model of an export is found by its file or its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz import plugins
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


def test_a_folder_does_not_hide_a_model_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("squeezenet").mkdir()
    monkeypatch.setattr("edgesqz.models.loading._load", lambda path, size: None)
    assert find_source(Export("squeezenet"), Workspace(Path("workspace")), None).name == "squeezenet"
