"""A folder for the temporary files of converters and Keras, and their peak size."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from edgesqz.errors import EdgesqzError, option
from edgesqz.workspace import Workspace, disk
from edgesqz.workspace.sizes import format_size

_log = logging.getLogger(__name__)

SAMPLE_INTERVAL_S = 0.005
MAX_SHARE = 0.02  # of a core; Ray writes hundreds of files, which take long to list

# Space to reserve for a conversion whose temporary files count against the quota. Measured on TensorFlow 2.21: the
# SavedModel that TFLite's converter reads holds every weight twice, in float32, and about 10 kB per layer; ONNX
# Runtime's quantizer writes less.
BYTES_PER_PARAMETER = 12
BYTES_BESIDE = 1_000_000

PREFIX, ALIVE = "edgesqz-scratch-", ".lock"


@contextlib.contextmanager
def scratch(folder: Path | None, workspace: Workspace, size_bytes: int) -> Iterator[None]:
    """Send the temporary files of this process and its children to a new folder, and remove it afterward.

    The peak size of the folder is logged.

    Args:
        folder: The parent of the new folder, or None for the system's folder for temporary files. Within the workspace,
            it counts against the quota.
        workspace: The workspace.
        size_bytes: Expected peak size of the temporary files.

    Raises:
        EdgesqzError: The folder does not exist, ``size_bytes`` do not fit the quota, or the files exceeded them.
    """
    folder = folder or Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise EdgesqzError(
            f"no folder {folder} for temporary files; create it, or choose another {option('scratch_dir')}"
        )
    with contextlib.ExitStack() as stack:
        _remove_left(folder)
        name = f"{PREFIX}{uuid.uuid4().hex[:8]}"  # short, because Ray's sockets in it have a limited path length
        counted = folder.resolve().is_relative_to(workspace.folder.resolve()) and workspace.quota_bytes is not None
        if counted:
            inside = (folder.resolve() / name).relative_to(workspace.folder.resolve()).as_posix()
            what = f"temporary files in {folder} (choose another folder with {option('scratch_dir')})"
            stack.enter_context(workspace.claim([inside], size_bytes, what))
        with disk.errors_named(f"cannot write temporary files to {folder}", folder):
            # Locked before it gets the name by which other processes find the folders of killed ones.
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
            _log.info("temporary files: %s at peak, in %s", format_size(used.peak_bytes), folder)
        if counted and used.peak_bytes > size_bytes:
            raise EdgesqzError(
                f"temporary files took {format_size(used.peak_bytes)} of the workspace, more than the "
                f"{format_size(size_bytes)} reserved for them; choose a {option('scratch_dir')} outside the workspace"
            )


def _remove_left(folder: Path) -> None:
    """Remove the folders of killed processes, except those of other users and those that are already being removed."""
    from filelock import Timeout

    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(Timeout, OSError), disk.lock(left / ALIVE).acquire(timeout=0):
            shutil.rmtree(left, ignore_errors=True)


def for_conversion(parameters: int) -> int:
    """Return the peak size of the temporary files of a conversion."""
    return BYTES_PER_PARAMETER * parameters + BYTES_BESIDE


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
    """Measures the peak size of a folder, every few milliseconds and before Python removes a file."""

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
        pause = SAMPLE_INTERVAL_S
        while not stopped.wait(pause):
            started = time.perf_counter()
            usage.sample()
            pause = max(SAMPLE_INTERVAL_S, (time.perf_counter() - started) / MAX_SHARE)

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
    """Sample every watched folder before a file is removed. Python cannot unregister such a hook."""

    def look(event: str, _: object) -> None:
        if event in ("os.remove", "shutil.rmtree"):
            for usage in _Usage.watched:
                usage.sample()

    sys.addaudithook(look)
