"""Reports on disks that are full, limited or broken."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.benchmarking.report import save
from edgesqz.workspace import OWN, Workspace, disk

Failure = Callable[[pytest.MonkeyPatch, int], None]


def full_after(patch: pytest.MonkeyPatch, room: int) -> None:
    """Simulate a disk that accepts a given number of bytes, and only the beginning of the file that exceeds it."""
    real = disk.write_through

    def write_through(path: Path, content: bytes) -> None:
        nonlocal room
        real(path, content[:room])
        room -= len(content)
        if room < 0:
            room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(disk, "write_through", write_through)


def limited_to(patch: pytest.MonkeyPatch, size: int) -> None:
    """Limit the size of files through the kernel."""
    real = disk.write_through

    def write_through(path: Path, content: bytes) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            real(path, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    patch.setattr(disk, "write_through", write_through)


def broken_after(patch: pytest.MonkeyPatch, calls: int) -> None:
    """Simulate a disk that reports an error at the last sync."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    patch.setattr(os, "fsync", fsync)


TOLD: dict[Failure, str] = {
    full_after: "No space left on device",
    limited_to: "File too large",
    broken_after: "Input/output error",
}


@pytest.mark.parametrize("place", ["workspace", "elsewhere"])
@pytest.mark.parametrize("failure", [full_after, limited_to, broken_after])
def test_a_report_is_the_old_one_or_the_new(
    failure: Failure, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace(tmp_path / "workspace").write({"report.json": b"old"})
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / place / "report.json"
    path.write_bytes(b"old")
    for each in range(1) if failure is broken_after else range(0, 1000, 50):
        with monkeypatch.context() as patch:
            failure(patch, each)
            with pytest.raises(EdgesqzError, match=f"cannot write .*: {TOLD[failure]} .the disk mounted at /"):
                save("x" * 1000, path)
        assert [each.name for each in path.parent.iterdir() if each.name != OWN] == ["report.json"]
        assert path.read_bytes() == b"old"
    save("x" * 1000, path)
    assert path.read_text() == "x" * 1000
