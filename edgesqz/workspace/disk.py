"""Writing to a disk that may be full, broken or cut off at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from edgesqz.errors import EdgesqzError


@contextlib.contextmanager
def errors_named(problem: str, place: Path) -> Iterator[None]:
    """Turn an error of the file system into a line that says what it got in the way of, and on which disk.

    Raises:
        EdgesqzError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise EdgesqzError(f"{problem}: {error.strerror or error}{_disk(error, place)}") from error


def _disk(error: OSError, place: Path) -> str:
    """Which disk is full or failing and what room it has; nothing for other errors, which the path explains."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return ""
    import psutil
    from rich.filesize import decimal

    there = nearest_existing(place)
    mount = next(path for path in (there, *there.parents) if path.is_mount())
    return f" (the disk mounted at {mount} has {decimal(psutil.disk_usage(str(there)).free)} free)"


def nearest_existing(path: Path) -> Path:
    """The path itself, or the first of the folders above it that is there; absolute."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; Windows keeps them by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sizes(folder: Path) -> dict[str, int]:
    """The sizes of all files in a folder and below it, in bytes, by their names relative to it with ``/`` in them.

    What other processes remove meanwhile is passed over.
    """
    sizes = {}
    for below, _, names in os.walk(folder):
        for path in (Path(below, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


def check_usable(folder: Path, *, only_read: bool = False) -> None:
    """Raise OSError if a folder could not be made or written to, without making it; or, if it is there, not be read."""
    nearest = nearest_existing(folder)
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    needed = os.R_OK if only_read else os.W_OK
    if not os.access(nearest, needed | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
