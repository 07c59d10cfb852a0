"""One way to find a model, in every command: by its path, by its name in the workspace, by its name in the zoo."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesqz.artifact import ZOO
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import find_keras_file, find_model_file, model_files, newest_keras_file
from edgesqz.workspace import Workspace

FINDERS: list[Callable[[str | Path, Path], Path]] = [find_model_file, find_keras_file]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace; the tests run in the folder above it."""
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_model_files_are_listed_with_each_source_model_first(tmp_path: Path) -> None:
    in_order = (
        "squeezenet.keras",
        "squeezenet.fp32.onnx",
        "squeezenet.fp32.tflite",
        "squeezenet.int8.tflite",
        "squeezenet-nano.keras",
        "squeezenet-nano.fp16.onnx",
    )
    put(tmp_path, *reversed(in_order), "squeezenet.keras.json", "squeezenet.last.npz", "notes.txt", ".lock")
    assert [path.name for path in model_files(tmp_path)] == list(in_order)


@pytest.mark.parametrize("find", FINDERS)
def test_a_path_takes_precedence_over_the_workspace_and_the_workspace_over_the_zoo(
    find: Callable[[str | Path, Path], Path], folder: Path
) -> None:
    for name in ("squeezenet", "squeezenet.keras"):
        assert find(name, folder) == ZOO / "squeezenet.keras"
    put(folder, "squeezenet.keras")
    for name in ("squeezenet", "squeezenet.keras"):
        assert find(name, folder) == folder / "squeezenet.keras"
    put(Path(), "squeezenet.keras")
    assert find("squeezenet", folder) == folder / "squeezenet.keras"  # not a path
    assert find("squeezenet.keras", folder) == Path("squeezenet.keras")
    Path("squeezenet").mkdir()  # a folder is not a model file
    assert find("squeezenet", folder) == folder / "squeezenet.keras"
    assert find(folder / "squeezenet.keras", Path("elsewhere")) == folder / "squeezenet.keras"


def test_a_name_without_its_suffix_is_the_keras_model_or_the_only_file_of_that_name(folder: Path) -> None:
    put(folder, "mine.tflite", "mine.int8.tflite", "mine.int8.onnx", "mine.fp16.onnx")
    assert find_model_file("mine", folder) == folder / "mine.tflite"
    assert find_model_file("mine.fp16", folder) == folder / "mine.fp16.onnx"
    with pytest.raises(EdgesqzError, match=r"'mine.int8' matches mine.int8.onnx and mine.int8.tflite in .*workspace; "):
        find_model_file("mine.int8", folder)
    put(folder, "mine.keras", "mine.onnx")
    assert find_model_file("mine", folder) == find_keras_file("mine", folder) == folder / "mine.keras"


@pytest.mark.parametrize("find", FINDERS)
def test_a_missing_model_is_refused_with_the_listing_and_the_nearest_name(
    find: Callable[[str | Path, Path], Path], folder: Path
) -> None:
    put(folder, "mine.keras", "notes.txt")
    with pytest.raises(EdgesqzError, match=rf"'mien'; did you mean mine\? in {folder}: mine.keras; in the zoo: squ"):
        find("mien", folder)
    with pytest.raises(EdgesqzError, match=rf"'xyz'; in {folder.parent}/empty: none; in the zoo: squeezenet.keras, "):
        find("xyz", folder.parent / "empty")


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("name", ["shapes.pth", "models/shapes.onnx", "shapes.keras"])
def test_a_missing_file_is_refused_without_the_listing(
    find: Callable[[str | Path, Path], Path], name: str, folder: Path
) -> None:
    with pytest.raises(EdgesqzError, match=f"^{name} does not exist$"):
        find(name, folder)
    put(folder, "shape.keras")
    with pytest.raises(EdgesqzError, match=r"^shapes\.keras does not exist; did you mean shape\.keras\?$"):
        find("shapes.keras", folder)


def test_a_file_of_another_format_is_not_a_keras_model(folder: Path) -> None:
    put(folder, "mine.int8.tflite")
    with pytest.raises(EdgesqzError, match=r"expected a \.keras file, got .*mine\.int8\.tflite"):
        find_keras_file("mine.int8.tflite", folder)
    with pytest.raises(EdgesqzError, match="no Keras model 'mine.int8'"):
        find_keras_file("mine.int8", folder)


def test_the_newest_keras_model_is_the_one_written_last(folder: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"no \.keras file in .*; run edgesqz train"):
        newest_keras_file(folder)
    put(folder, "new.keras", "old.keras", "newest.tflite")
    os.utime(folder / "old.keras", (1, 1))
    assert newest_keras_file(folder) == folder / "new.keras"


def test_finding_writes_nothing(folder: Path) -> None:
    home = Workspace(folder)
    home.write({"mine.keras": b"", "mine.keras.json": b""})
    (folder / "mine.keras.edgesqz-partial").touch()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    find_model_file("mine", folder)
    find_keras_file("mine", folder)
    newest_keras_file(folder)
    model_files(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
