"""Where converters and Keras put their own temporary files, and how much of it they used."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from edgesqz.errors import EdgesqzError
from edgesqz.workspace import Workspace, disk
from edgesqz.workspace.sizes import format_size

_log = logging.getLogger(__name__)

SAMPLE_INTERVAL_S = 0.005

# What a conversion is given where the workspace's quota counts it. Measured on TensorFlow 2.21: the SavedModel that
# TFLite's converter reads holds every weight twice, in float32, and about 10 kB a layer; ONNX Runtime's quantizer
# writes less.
BYTES_A_PARAMETER = 12
BYTES_BESIDE = 1_000_000

PREFIX, ALIVE = "edgesqz-scratch-", ".lock"


@contextlib.contextmanager
def scratch(folder: Path | None, workspace: Workspace, size_bytes: int) -> Iterator[None]:
    """Send the temporary files of this process, and of those it starts, to a folder of their own, and remove it.

    The most that was in it at one time is logged.

    Args:
        folder: to make it in; None for the system's own. One within the workspace is charged to its quota.
        workspace: whose quota that is.
        size_bytes: the most that the temporary files are expected to take.

    Raises:
        EdgesqzError: no such folder, no room for ``size_bytes`` in the workspace, or more of them than that.
    """
    folder = folder or Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise EdgesqzError(f"no folder {folder} for temporary files; make it, or name another --scratch")
    with contextlib.ExitStack() as stack:
        _remove_left(folder)
        name = f"{PREFIX}{uuid.uuid4().hex}"
        counted = folder.resolve().is_relative_to(workspace.folder.resolve()) and workspace.quota_bytes is not None
        if counted:
            inside = (folder.resolve() / name).relative_to(workspace.folder.resolve()).as_posix()
            what = f"temporary files in {folder}, which --scratch can put elsewhere"
            stack.enter_context(workspace.claim([inside], size_bytes, what))
        with disk.errors_named(f"cannot write temporary files to {folder}", folder):
            # Locked before it has the name by which others look for what killed processes left.
            unseen = folder / f".{name}"
            unseen.mkdir()
            alive = disk.lock(unseen / ALIVE).acquire()
            unseen.rename(folder / name)
        stack.callback(shutil.rmtree, folder / name)
        stack.enter_context(alive)
        stack.enter_context(_redirected(folder / name))
        used = stack.enter_context(_watched(folder / name))
        yield
        used.sample()
        if used.peak_bytes:
            _log.info("temporary files: %s at most, in %s", format_size(used.peak_bytes), folder)
        if counted and used.peak_bytes > size_bytes:
            raise EdgesqzError(
                f"temporary files took {format_size(used.peak_bytes)} of the workspace, more than the "
                f"{format_size(size_bytes)} set aside for them; name a --scratch outside of it"
            )


def _remove_left(folder: Path) -> None:
    """Remove what killed processes left, but for what another user has or another process is removing now."""
    from filelock import Timeout

    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(Timeout, OSError), disk.lock(left / ALIVE).acquire(timeout=0):
            shutil.rmtree(left, ignore_errors=True)


def for_conversion(parameters: int) -> int:
    """Bytes that the temporary files of converting a network take at most."""
    return BYTES_A_PARAMETER * parameters + BYTES_BESIDE


@contextlib.contextmanager
def _redirected(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    variable = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        if variable is not None:
            os.environ["TMPDIR"] = variable


class _Usage:
    """The most bytes that a folder was seen to hold: looked at every few milliseconds, and before Python removes."""

    watched: ClassVar[set[_Usage]] = set()

    def __init__(self, folder: Path) -> None:
        self.folder, self.peak_bytes = folder, 0

    def sample(self) -> None:
        self.peak_bytes = max(self.peak_bytes, sum(disk.file_sizes(self.folder).values()))


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[_Usage]:
    usage, stopped = _Usage(folder), threading.Event()
    _notice_removals()

    def watch() -> None:
        while not stopped.wait(SAMPLE_INTERVAL_S):
            usage.sample()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _Usage.watched.add(usage)
    try:
        yield usage
    finally:
        _Usage.watched.remove(usage)
        stopped.set()
        watcher.join()


@functools.cache
def _notice_removals() -> None:
    """Have every folder that is watched looked at before a file is removed; Python cannot take that back."""

    def look(event: str, _: object) -> None:
        if event in ("os.remove", "shutil.rmtree"):
            for usage in _Usage.watched:
                usage.sample()

    sys.addaudithook(look)
