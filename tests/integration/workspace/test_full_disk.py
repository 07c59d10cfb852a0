"""Disks that are full, limited or broken: existing files stay intact, and the message names the disk."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.benchmarking.report import save
from edgesqz.exporting.exporter import Exporter
from edgesqz.maintenance.integrity import verify
from edgesqz.workspace import OWN, Workspace, disk
from tests import small
from tests.disks import MESSAGES, Failure, broken_after, full_after, limited_to

EXPORT = "colors.int8.tflite"
BEST, LAST = f"{small.ONE_FIRE}.best.npz", f"{small.ONE_FIRE}.last.npz"


KEPT: dict[Failure, list[set[str]]] = {
    full_after: [set(), {BEST, LAST}],
    limited_to: [set(), {BEST, LAST}],
    broken_after: [set(), {BEST}, {BEST, LAST}],  # it cannot remove useless files either
}


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != OWN}


def fail(
    failure: Failure, at: int, work: Callable[[], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes] | None:
    """Work on a failing disk. Return the resulting state, or None if the disk did not fail."""
    try:
        with monkeypatch.context() as patch:
            failure(patch, at)
            work()
    except EdgesqzError as error:
        assert MESSAGES[failure] in str(error) and re.search(r"the disk mounted at /.* has .* free", str(error))
    else:
        return None
    assert not verify(Workspace(folder)).problems
    assert disk.file_sizes(folder / OWN) == {"lock": 0}
    return state(folder)


def points(size: int, count: int) -> list[int]:
    return [0, 1, *range(size // count, size, size // count), size - 1]


EXPORTING: dict[str, Any] = {"quantize": True, "calibration": 20, "quota": 1_000_000}


@pytest.fixture(scope="module")
def exported_files(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("exported")
    edgesqz.export(trained / "colors.keras", workspace=folder, **EXPORTING)
    return state(folder)


@pytest.mark.parametrize("failure", [full_after, limited_to, broken_after])
def test_an_export_is_written_completely_or_not_at_all(
    failure: Failure,
    trained: Path,
    exported_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def export() -> object:
        return edgesqz.export(trained / "colors.keras", workspace=tmp_path, **EXPORTING)

    monkeypatch.setattr(Exporter, "make", lambda *arguments: exported_files)  # without converting again
    monkeypatch.setattr(Exporter, "_source_warning", None)  # without running the source model
    size = sum(map(len, exported_files.values()))
    at = range(3) if failure is broken_after else points(len(exported_files[EXPORT]), 3)
    for each in at:
        left = fail(failure, each, export, tmp_path, monkeypatch)
        assert left == {}
    assert fail(failure, size, export, tmp_path, monkeypatch) is None
    assert Workspace(tmp_path).used_bytes() == size


@pytest.mark.parametrize("failure", [full_after, limited_to, broken_after])
def test_training_ends_with_its_last_checkpoint_or_finished(
    failure: Failure, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgesqz.training.step

    real = edgesqz.training.step.training_step
    monkeypatch.setattr(
        edgesqz.training.step, "training_step", lambda *arguments: (real(*arguments)[0], lambda *step: (1.0, 0))
    )
    monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network: lambda split: 0.0)
    options: dict[str, Any] = {"epochs": 2, "batch_size": 64, "quota": "500kB", "workspace": tmp_path}

    def train() -> object:
        return edgesqz.train(small.ONE_FIRE, str(images), **options)

    full = (0, 20_000, 90_000, 220_000, 420_000, 560_000)
    limit = (0, 100, 45_000, 90_000, 110_000)
    at: dict[Failure, Sequence[int]] = {full_after: full, limited_to: limit, broken_after: range(0, 12, 2)}
    for each in at[failure]:
        shutil.rmtree(tmp_path / OWN, ignore_errors=True)
        for path in tmp_path.glob("squeezenet*"):
            path.unlink()
        left = fail(failure, each, train, tmp_path, monkeypatch)
        assert left is None or set(left) in KEPT[failure]
        assert Workspace(tmp_path).used_bytes() <= 500_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 120 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only, where mounting is allowed")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    home = small_disk / "workspace"
    edgesqz.export("squeezenet-nano", quantize=True, workspace=home)
    before = state(home)
    with pytest.raises(EdgesqzError, match=rf"No space left on device .the disk mounted at {small_disk} has .* free"):
        edgesqz.export("squeezenet-nano", quantize=True, workspace=home)
    assert state(home) == before
    assert not verify(Workspace(home)).problems
    (small_disk / "report.json").write_text("{}")
    with pytest.raises(EdgesqzError, match="cannot write .*report.json: No space left on device"):
        save("x" * 100_000, small_disk / "report.json")
    assert (small_disk / "report.json").read_text() == "{}"
