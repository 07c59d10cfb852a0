"""PyTorch files are recognized without loading them, because pickles can run code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.exporting.source import find_source
from edgesqz.readers import pytorch
from edgesqz.workspace import Workspace


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("ran",)


def test_a_pickle_is_refused_and_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(ValueError, match=r"expected a program exported by torch.export as .pt2; .*torch.export.save"):
        pytorch.prepare(path, None)
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.pth"])
def test_a_checkpoint_gets_advice_to_export_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(EdgesqzError, match=r"expected a model in one of .*, got .*; load your model and run torch"):
        find_source(Export(path), Workspace(tmp_path), None)
    assert not Path("ran").exists()


def test_another_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__.py", "")
    with pytest.raises(ValueError, match="not a program exported by PyTorch 2.8 or newer"):
        pytorch.prepare(path, None)


def test_the_weights_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/models/model.json", "{}")
        archive.writestr("model/data/weights/weight_0", bytes(400))
        archive.writestr("model/data/sample_inputs/model.pt", bytes(4000))
    assert pytorch.prepare(path, None).parameters == 100
