"""Claims: room that running work has set aside in a workspace.

A claim is a file in ``.edgesqz/claims`` with a lock file beside it. Its process holds the lock until it ends, however
it ends, so a claim whose lock is free belongs to a process that is gone.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from edgesqz.workspace import disk
from edgesqz.workspace.layout import OWN, TEMPORARY_SUFFIX

UNFINISHED = ".unfinished"  # the suffix of a claim's file until it is complete


@dataclass(frozen=True)
class Claim:
    """Room that running work has set aside.

    Attributes:
        names: Files, or folders of files, relative to the workspace.
        size_bytes: The most bytes that all of them take at one time, including their temporary files.
    """

    names: tuple[str, ...]
    size_bytes: int

    def covers(self, name: str) -> bool:
        """Return whether the claim is for this file."""
        whole = name.removesuffix(TEMPORARY_SUFFIX)
        return any(whole == each or whole.startswith(f"{each}/") for each in self.names)

    def to_json(self) -> bytes:
        """Return the content of the claim's file."""
        return json.dumps(vars(self)).encode()


def new_path(folder: Path) -> Path:
    """Return a path for a new claim in a workspace, without a suffix."""
    return folder / OWN / "claims" / uuid.uuid4().hex


def hold(path: Path) -> contextlib.AbstractContextManager[object]:
    """Take the lock that keeps a claim in force, for as long as it is held."""
    path.parent.mkdir(exist_ok=True)
    return disk.lock(path.with_suffix(".lock")).acquire()


def write(path: Path, claim: Claim) -> None:
    """Write a claim; the workspace must be locked."""
    disk.write_through(path.with_suffix(UNFINISHED), claim.to_json())
    path.with_suffix(UNFINISHED).replace(path.with_suffix(".json"))


def drop(path: Path) -> None:
    """Remove a claim; the workspace must be locked."""
    for suffix in (".json", UNFINISHED, ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def read(folder: Path) -> list[Claim]:
    """Return the claims in a workspace."""
    claims = []
    for path in (folder / OWN / "claims").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # just released
            claims.append(Claim(**json.loads(path.read_text())))
    return claims


def drop_dead(folder: Path) -> None:
    """Remove the claims of processes that are gone, and the folders of their temporary files.

    The workspace must be locked.
    """
    from filelock import Timeout

    for lock_file in (folder / OWN).glob("claims/*.lock"):
        with contextlib.suppress(Timeout), disk.lock(lock_file).acquire(timeout=0):  # a timeout: it is alive
            path = lock_file.with_suffix(".json")
            if path.is_file():
                for name in json.loads(path.read_text())["names"]:
                    if (folder / name).is_dir():
                        shutil.rmtree(folder / name)
            drop(path)
