"""Disks that are full, limited or broken."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesqz.workspace import disk

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


MESSAGES: dict[Failure, str] = {
    full_after: "No space left on device",
    limited_to: "File too large",
    broken_after: "Input/output error",
}
