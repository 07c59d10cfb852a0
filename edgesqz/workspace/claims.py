"""Claims: space in a workspace that running work has reserved.

A claim is a file in ``.edgesqz/claims`` with a lock file beside it. Its process holds the lock until it ends for any
reason, so a claim whose lock is free belongs to a process that has ended.
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

UNFINISHED = ".unfinished"  # suffix of a claim's file until it is complete


@dataclass(frozen=True)
class Claim:
    """Space that running work has reserved.

    Attributes:
        names: Files, or folders of files, relative to the workspace.
        size_bytes: Peak total size of these files, including their temporary files.
    """

    names: tuple[str, ...]
    size_bytes: int

    def covers(self, name: str) -> bool:
        """Return whether the claim includes this file."""
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
    """Write a claim. The workspace must be locked."""
    disk.write_through(path.with_suffix(UNFINISHED), claim.to_json())
    path.with_suffix(UNFINISHED).replace(path.with_suffix(".json"))


def drop(path: Path) -> None:
    """Remove a claim. The workspace must be locked."""
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
    """Remove the claims of processes that have ended, and the folders of their temporary files.

    The workspace must be locked.
    """
    from filelock import Timeout

    for lock_file in (folder / OWN).glob("claims/*.lock"):
        with contextlib.suppress(Timeout), disk.lock(lock_file).acquire(timeout=0):  # a timeout: the process is alive
            path = lock_file.with_suffix(".json")
            if path.is_file():
                for name in json.loads(path.read_text())["names"]:
                    if (folder / name).is_dir():
                        shutil.rmtree(folder / name)
            drop(path)
