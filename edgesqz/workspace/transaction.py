"""Changes of several files in a workspace, applied completely or not at all, even if the process is killed.

The new files are written beside the old ones under temporary names. Then one rename of a folder decides
(``.edgesqz/pending`` becomes ``.edgesqz/committed``), and the new files take their places. The next process to use a
workspace that was left in the middle drops the temporary files if that rename had not happened, and finishes the
change if it had. The record takes no bytes that would count against the quota: the files to remove are listed as the
names of empty files in it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from edgesqz.errors import EdgesqzError
from edgesqz.workspace import claims, disk
from edgesqz.workspace.layout import OWN, final, temporaries, temporary


def change(folder: Path, contents: Mapping[str, bytes], removing: Sequence[str]) -> None:
    """Write some files and remove others, all or none; the workspace must be locked.

    Raises:
        OSError: The disk refuses.
    """
    places = {folder / name: content for name, content in contents.items()}
    for place in (*places, *(folder / name for name in removing)):
        if place.is_dir():  # better found now than when half of the files are renamed
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        for place, content in places.items():
            disk.write_through(temporary(place), content)
        for parent in {place.parent for place in places}:
            disk.sync_folder(parent)
        if len(places) == 1 and not removing:  # a single rename needs no record
            (place,) = places
            temporary(place).replace(place)
            disk.sync_folder(place.parent)
        else:
            _commit(folder / OWN, removing)
    finally:
        recover_locked(folder)


def _commit(own: Path, removing: Sequence[str]) -> None:
    """Decide that the temporary files are to take their places and that others are to be removed."""
    pending = own / "pending"
    pending.mkdir()
    for name in removing:
        (pending / quote(name, safe="")).touch()
    disk.sync_folder(pending)
    pending.replace(own / "committed")
    disk.sync_folder(own)


def recover(folder: Path) -> None:
    """Finish or drop what a killed process left in a workspace, so that its files are complete.

    Raises:
        EdgesqzError: The disk refuses.
    """
    own = folder / OWN
    unfinished = (path for pattern in ("claims/*", "pending", "committed") for path in own.glob(pattern))
    if not own.is_dir() or not (any(unfinished) or temporaries(folder)):
        return
    with disk.errors_named(f"the workspace {folder} cannot be used", folder), disk.lock(own / "lock"):
        recover_locked(folder)


def settle(folder: Path) -> None:
    """Recover a workspace before it is read, unless it is read-only.

    In a read-only workspace, what a killed process left is ignored: readers look at no temporary file.

    Raises:
        EdgesqzError: The workspace is read-only, and a change of several files is half done.
    """
    try:
        recover(folder)
    except EdgesqzError as error:
        if (folder / OWN / "committed").is_dir():
            raise EdgesqzError(
                f"a change of the workspace {folder} is half done and cannot be finished here ({error}); "
                "run edgesqz workspace list as a user with write access"
            ) from error


def recover_locked(folder: Path) -> None:
    """Recover a workspace that this process has locked."""
    own = folder / OWN
    committed = own / "committed"
    if committed.is_dir():
        for path in temporaries(folder):
            path.replace(final(path))
            disk.sync_folder(path.parent)
        for mark in committed.iterdir():
            (folder / unquote(mark.name)).unlink(missing_ok=True)
        disk.sync_folder(folder)
        shutil.rmtree(committed)
    for path in temporaries(folder):
        path.unlink()
    shutil.rmtree(own / "pending", ignore_errors=True)
    claims.drop_dead(folder)
