"""The directory that models live in, under a quota of bytes.

The quota is a promise about the sum of all files in the directory: models, manifests, checkpoints and temporary
files. A write is charged in full before its first byte, so the sum is never above the quota, not even while a file
is being replaced and its old and new content are both on disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgesqz import defaults
from edgesqz.errors import EdgesqzError

_LOCK_NAME = ".lock"
_TEMPORARY_SUFFIX = ".partial"


def parse_size(text: str) -> int:
    """Read a size such as ``500kB``, ``2MB``, ``1MiB`` or ``123456`` as bytes; kB is 1000 bytes, KiB is 1024.

    Raises:
        EdgesqzError: the text is no size, or not above zero.
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    problem = f"expected a size above zero such as 500kB, 2MB, 1MiB or a number of bytes, got {text!r}"
    try:
        size = int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except (ValidationError, OverflowError) as error:
        raise EdgesqzError(problem) from error
    if size <= 0:
        raise EdgesqzError(problem)
    return size


def parse_quota(quota: str | int | None) -> int | None:
    """A quota as bytes, from a number, from text as in ``parse_size``, or None for no limit."""
    return None if quota is None else parse_size(str(quota))


def format_size(size_bytes: int) -> str:
    """Write bytes the way quotas are given: ``73.5 kB``, with 1 kB = 1000 bytes."""
    from rich.filesize import decimal

    return decimal(size_bytes)


class Workspace:
    """A folder of artifacts and checkpoints that never holds more bytes than its quota.

    Args:
        folder: made with the first write, if it is not there.
        quota_bytes: the most bytes that all files together may take; None for no limit.

    Raises:
        EdgesqzError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path = defaults.WORKSPACE, quota_bytes: int | None = None) -> None:
        self.folder = folder
        self.quota_bytes = quota_bytes
        with _disk_errors_named(f"the workspace {folder} cannot be used"):
            _check_usable(folder)

    def files(self) -> list[Path]:
        """All files in the workspace, the largest first."""
        return sorted((p for p in self.folder.rglob("*") if p.is_file()), key=_size, reverse=True)

    def used_bytes(self) -> int:
        """The sum of the sizes of all files in the workspace."""
        return sum(map(_size, self.files()))

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files, by name, all or none; a file that is there already is replaced.

        Raises:
            EdgesqzError: the quota has no room for them beside what is there, or the disk refuses.
        """
        with self._locked():
            self._remove_leftovers()
            self._charge(contents)
            with _disk_errors_named(f"cannot write {', '.join(contents)} to {self.folder}"):
                self._replace(contents)

    def remove(self, *names: str) -> None:
        """Remove files by name; those that are not there are passed over."""
        with self._locked():
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        with _disk_errors_named(f"the workspace {self.folder} cannot be used"):
            self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / _LOCK_NAME):
            yield

    def _charge(self, contents: Mapping[str, bytes]) -> None:
        """Refuse what does not fit, before it is written."""
        if self.quota_bytes is None:
            return
        asked, used = sum(map(len, contents.values())), self.used_bytes()
        if used + asked > self.quota_bytes:
            largest = ", ".join(f"{p.name} ({format_size(_size(p))})" for p in self.files()[:3] if _size(p))
            raise EdgesqzError(
                f"{', '.join(contents)}: {format_size(asked)} more would not fit the quota of "
                f"{format_size(self.quota_bytes)}, of which {format_size(used)} are used"
                + (f"; the largest files that could go: {largest}" if largest else "")
                + "; remove some or raise --quota"
            )

    def _replace(self, contents: Mapping[str, bytes]) -> None:
        """Write beside the targets, then rename: a kill leaves the old file or the new one, never half of one."""
        partial = {name: self.folder / f"{name}{_TEMPORARY_SUFFIX}" for name in contents}
        for name in contents:
            if (self.folder / name).is_dir():  # found out now, not when half of the files are renamed
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            for name, content in contents.items():
                _write_through(partial[name], content)
            for name, path in partial.items():
                path.replace(self.folder / name)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Drop the temporary files of a process that was killed; under the lock nobody else is writing any."""
        for path in self.folder.glob(f"*{_TEMPORARY_SUFFIX}"):
            path.unlink()


def _check_usable(folder: Path) -> None:
    """Raise OSError if a folder could not be made or written to, without making it."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _size(path: Path) -> int:
    """Bytes of a file, 0 if another process has just removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def replace_file(path: Path, content: bytes) -> None:
    """Write a file outside a workspace, whole or not at all.

    Raises:
        EdgesqzError: the disk refuses.
    """
    partial = path.with_name(path.name + _TEMPORARY_SUFFIX)
    with _disk_errors_named(f"cannot write {path}"):
        try:
            _write_through(partial, content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _disk_errors_named(problem: str) -> Iterator[None]:
    """Turn an error of the file system into a line that says what it got in the way of."""
    try:
        yield
    except OSError as error:
        raise EdgesqzError(f"{problem}: {error.strerror or error}") from error
