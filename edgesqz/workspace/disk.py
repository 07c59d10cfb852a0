"""Write to a disk that may be full, fail or be disconnected at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.errors import EdgesqzError

if TYPE_CHECKING:
    from filelock import FileLock


@contextlib.contextmanager
def errors_named(problem: str, place: Path) -> Iterator[None]:
    """Turn a file-system error into one line that says what failed, and on which disk.

    Raises:
        EdgesqzError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise EdgesqzError(f"{problem}: {error.strerror or error}{_disk(error, place)}") from error


def _disk(error: OSError, place: Path) -> str:
    """Describe the full or failing disk and its free space. Empty for other errors, which the path explains."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return ""
    import psutil
    from rich.filesize import decimal

    there = nearest_existing(place)
    mount = next(path for path in (there, *there.parents) if path.is_mount())
    return f" (the disk mounted at {mount} has {decimal(psutil.disk_usage(str(there)).free)} free)"


def nearest_existing(path: Path) -> Path:
    """Return the path itself or the first folder above it that exists, as an absolute path."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def write_through(path: Path, content: bytes) -> None:
    """Write a file, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk. Windows needs no such call."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of every file in a folder and its subfolders, by its relative path with ``/``.

    Files that other processes remove in the meantime are ignored.
    """
    sizes: dict[str, int] = {}
    # This runs at every change of a workspace, and pathlib would take ten times as long.
    for below, _, names in os.walk(folder):
        inside = os.path.relpath(below, folder)
        prefix = "" if inside == os.curdir else f"{inside.replace(os.sep, '/')}/"
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                sizes[prefix + name] = os.stat(f"{below}{os.sep}{name}").st_size  # noqa: PTH116
    return sizes


def check_usable(folder: Path, *, read_only: bool = False) -> None:
    """Raise OSError unless a folder can be created and written to or, with ``read_only``, read if it exists."""
    nearest = nearest_existing(folder)
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    needed = os.R_OK if read_only else os.W_OK
    if not os.access(nearest, needed | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if nearest != folder.absolute() and not read_only:
        _check_makes_folders(nearest)


def _check_makes_folders(folder: Path) -> None:
    """Raise OSError unless a folder can be created in a folder. Those of /proc, for example, only seem writable."""
    try:
        Path(tempfile.mkdtemp(dir=folder, prefix=".edgesqz-")).rmdir()
    except OSError as error:
        raise OSError(error.errno, f"no folder can be created in {folder} ({error.strerror})") from error


def lock(path: Path) -> FileLock:
    """Return a lock on a file. The operating system releases it when the process ends for any reason."""
    from filelock import FileLock

    return FileLock(path)
