"""Change several files in a workspace, completely or not at all, even if the process is killed.

The new files are written beside the old ones under temporary names. Renaming the folder ``.edgesqz/pending`` to
``.edgesqz/committed`` then commits the change, and the new files replace the old ones. If a process is killed before
the commit, the next process to use the workspace drops the temporary files. If it is killed after the commit, the next
process completes the change. The record of a change does not count against the quota, because it lists the files to
remove as the names of empty files.
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
    """Write some files and remove others, all or none. The workspace must be locked.

    Raises:
        OSError: The disk is full or reports an error.
    """
    places = {folder / name: content for name, content in contents.items()}
    for place in (*places, *(folder / name for name in removing)):
        if place.is_dir():  # fail now rather than after half of the files are renamed
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
    """Commit the change: the temporary files will replace the old ones, and others will be removed."""
    pending = own / "pending"
    pending.mkdir()
    for name in removing:
        (pending / quote(name, safe="")).touch()
    disk.sync_folder(pending)
    pending.replace(own / "committed")
    disk.sync_folder(own)


def recover(folder: Path) -> None:
    """Complete or drop the unfinished change of a killed process, so that all files are complete.

    Raises:
        EdgesqzError: The disk is full or reports an error.
    """
    own = folder / OWN
    unfinished = (path for pattern in ("claims/*", "pending", "committed") for path in own.glob(pattern))
    if not own.is_dir() or not (any(unfinished) or temporaries(folder)):
        return
    with disk.errors_named(f"the workspace {folder} cannot be used", folder), disk.lock(own / "lock"):
        recover_locked(folder)


def settle(folder: Path) -> None:
    """Recover a workspace before it is read, unless it is read-only.

    In a read-only workspace, the temporary files of a killed process are ignored.

    Raises:
        EdgesqzError: The workspace is read-only, and a change of several files is unfinished.
    """
    try:
        recover(folder)
    except EdgesqzError as error:
        if (folder / OWN / "committed").is_dir():
            raise EdgesqzError(
                f"a change of the workspace {folder} is unfinished and cannot be completed ({error}); "
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
