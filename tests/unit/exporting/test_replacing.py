"""An export replaces only files that were exported from the same model."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from edgesqz.artifact import ZOO
from edgesqz.errors import EdgesqzError
from edgesqz.exporting.replacing import check, recorded
from tests import fakes


def source(path: Path | None, sha256: str | None = "1") -> Any:
    return types.SimpleNamespace(path=path, source=str(path), sha256=sha256)


def export(folder: Path, model: Any) -> Path:
    """Write an export of a model as ``edgesqz.export`` does."""
    path = folder / "model.int8.tflite"
    fakes.write(path, fakes.content(), source=recorded(model, folder), source_sha256=model.sha256)
    return path


def test_an_export_of_the_same_model_is_replaced(tmp_path: Path) -> None:
    path = export(tmp_path, source(tmp_path / "a" / "model.onnx"))
    check(path, source(tmp_path / "a" / "model.onnx"))
    check(path, source(tmp_path / "a" / "model.onnx", sha256="a new version"))
    check(path, source(tmp_path / "moved" / "model.onnx"))
    check(export(tmp_path, source(None, None)), source(None, None))  # random weights
    path.write_bytes(b"damaged")
    check(path, source(tmp_path / "a" / "model.onnx"))


@pytest.mark.parametrize("other", ["b/model.onnx", "a/model.keras", "model.pt2"])
def test_an_export_of_another_model_is_kept(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("workspace").mkdir()
    path = export(Path("workspace"), source(Path("a/model.onnx")))
    message = (
        f"^workspace/model.int8.tflite was exported from a/model.onnx, not from {other}; replace it with force, "
        "rename one of the models, or choose another workspace$"
    )
    with pytest.raises(EdgesqzError, match=message):
        check(path, source(Path(other), sha256="2"))


def test_files_of_unknown_origin_are_kept(tmp_path: Path) -> None:
    path = export(tmp_path, source(ZOO / "model.keras"))
    with pytest.raises(EdgesqzError, match="was exported from another model, not from model.keras"):
        check(path, source(Path("model.keras"), sha256="2"))
    path.with_name(f"{path.name}.json").unlink()
    with pytest.raises(EdgesqzError, match="was not written by edgesqz export; replace it with force"):
        check(path, source(ZOO / "model.keras"))
