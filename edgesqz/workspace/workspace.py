"""A folder of model files under a quota of bytes.

The quota is a promise about the total size of all files in the folder: models, manifests, checkpoints, temporary files
and edgesqz's own records in ``.edgesqz``. A write is charged in full before its first byte, so the total never exceeds
the quota, not even while a file is replaced and both its old and its new content are on disk.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgesqz import defaults
from edgesqz.errors import EdgesqzError, NoRoomError, option, parsed
from edgesqz.workspace import claims, disk, transaction
from edgesqz.workspace.claims import Claim
from edgesqz.workspace.layout import OWN, TEMPORARY_SUFFIX, stands_alone, temporary
from edgesqz.workspace.sizes import format_size, parse_size

QUOTA_VARIABLE = "EDGESQZ_QUOTA"
MAX_SUGGESTIONS = 3  # files that the advice suggests removing
RAISE_QUOTA = f"raise {option('quota')}"


class Workspace:
    """A folder of artifacts and checkpoints that never exceeds its quota.

    Args:
        folder: The folder. If it does not exist, the first write creates it.
        quota: Maximum total size of all files, as a number or as text such as ``2MB``. By default the environment
            variable EDGESQZ_QUOTA, else the quota stored in the workspace.
        read_only: Whether the workspace is only read, so that it need not be writable.

    Raises:
        EdgesqzError: The folder cannot be created or written to, or the quota is not a valid size.
    """

    def __init__(
        self, folder: Path = defaults.WORKSPACE, quota: str | int | None = None, *, read_only: bool = False
    ) -> None:
        self.folder = folder
        with disk.errors_named(f"the workspace {folder} cannot be used", folder):
            disk.check_usable(folder, read_only=read_only)
            self.quota_bytes = _quota_in_force(quota, folder)
        (transaction.settle if read_only else transaction.recover)(folder)

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of every file in the workspace, by its relative path."""
        return disk.file_sizes(self.folder)

    def used_bytes(self) -> int:
        """Return the total size of all files in the workspace, in bytes."""
        return sum(self.sizes().values())

    def write(self, contents: Mapping[str, bytes], removing: Sequence[str] = ()) -> None:
        """Write some files and remove others by name, all or none. Existing files are replaced.

        Raises:
            NoRoomError: The new files do not fit the quota beside the existing ones.
            EdgesqzError: The disk is full or reports an error.
        """
        with self._locked():
            self._charge({name: len(content) for name, content in contents.items()})
            with disk.errors_named(f"cannot write {', '.join(contents)} to {self.folder}", self.folder):
                transaction.change(self.folder, contents, removing)

    def remove(self, *names: str) -> None:
        """Remove files by name, all or none. Missing files are ignored."""
        with self._locked(), disk.errors_named(f"cannot remove {', '.join(names)}", self.folder):
            transaction.change(self.folder, {}, names)

    def room_for(self, names: Sequence[str]) -> int | None:
        """Return the maximum total size for files of these names, or None without a quota."""
        if self.quota_bytes is None:
            return None
        own = Claim(tuple(names), 0)
        others = {name: size for name, size in self.sizes().items() if not own.covers(name)}
        return self.quota_bytes - self._committed(others)

    @contextlib.contextmanager
    def claim(self, names: Sequence[str], size_bytes: int, what: str = "") -> Iterator[None]:
        """Reserve space for work that will write files of these names, so that no other process uses it.

        Args:
            names: Files, or folders of files, relative to the workspace.
            size_bytes: Peak total size of these files.
            what: Description of the files for error messages, by default their names.

        Raises:
            NoRoomError: The space exceeds the quota.
        """
        if self.quota_bytes is None:
            yield
            return
        claim, path = Claim(tuple(names), size_bytes), claims.new_path(self.folder)
        record = {f"{OWN}/claims/{path.name}.json": len(claim.to_json())}
        with contextlib.ExitStack() as held:
            with self._locked(), disk.errors_named(f"cannot write to {self.folder}", self.folder):
                self._charge(record, claim, what=what or ", ".join(names))
                held.callback(self._release, path, claims.hold(path))
                claims.write(path, claim)
            yield

    def _release(self, path: Path, alive: contextlib.AbstractContextManager[object]) -> None:
        with self._locked(), alive:
            claims.drop(path)

    def is_claimed(self, name: str) -> bool:
        """Return whether running work has reserved space for a file."""
        return any(claim.covers(name) for claim in claims.read(self.folder))

    def store_quota(self, size: str | int) -> None:
        """Store a quota in the workspace. It applies to every command without another quota.

        Raises:
            EdgesqzError: The quota is not a valid size, or the workspace already exceeds it.
        """
        size_bytes, used = parse_size(str(size)), self.used_bytes()
        if used > size_bytes:
            raise EdgesqzError(
                f"{self.folder} holds {format_size(used)}, more than a quota of {format_size(size_bytes)}; "
                f"edgesqz workspace clean --to {size} makes room"
            )
        Workspace(self.folder, size_bytes).write({f"{OWN}/quota": f"{size_bytes}\n".encode()})
        self.quota_bytes = size_bytes

    def drop_quota(self) -> None:
        """Remove the stored quota."""
        self.remove(f"{OWN}/quota")

    @property
    def _own(self) -> Path:
        return self.folder / OWN

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with disk.errors_named(f"the workspace {self.folder} cannot be used", self.folder):
            self._own.mkdir(parents=True, exist_ok=True)
            held = disk.lock(self._own / "lock").acquire()
        with held:
            transaction.recover_locked(self.folder)
            yield

    def _committed(self, sizes: Mapping[str, int], *more: Claim) -> int:
        """Return the bytes of files, and those that claims reserve beyond the files that they cover."""
        total = sum(sizes.values())
        for claim in (*claims.read(self.folder), *more):
            total += max(0, claim.size_bytes - sum(size for name, size in sizes.items() if claim.covers(name)))
        return total

    def _charge(self, new_sizes: Mapping[str, int], *new_claims: Claim, what: str = "") -> None:
        """Reject files that do not fit before they are written. A file counts until its replacement is complete."""
        if self.quota_bytes is None:
            return
        sizes = self.sizes()
        used = self._committed(sizes)
        needed = self._committed(
            sizes | {name + TEMPORARY_SUFFIX: size for name, size in new_sizes.items()}, *new_claims
        )
        if needed > self.quota_bytes:
            raise self.refusal(what or ", ".join(new_sizes), needed - used)

    def refusal(self, what: str, needed_bytes: int, needed: str = "") -> NoRoomError:
        """Return the error for files that do not fit the quota.

        Args:
            what: Description of the files.
            needed_bytes: Additional space that they need beside the existing files.
            needed: Description of that space, if it is not exact.
        """
        assert self.quota_bytes is not None  # without a quota, everything fits
        used = self._committed(self.sizes())
        missing = used + needed_bytes - self.quota_bytes
        advice = RAISE_QUOTA if needed_bytes > self.quota_bytes else self._advice(missing)
        return NoRoomError(
            f"{what}: {needed or format_size(needed_bytes)} more would not fit the quota of "
            f"{format_size(self.quota_bytes)} ({format_size(used)} used); {advice}"
        )

    def _advice(self, missing_bytes: int) -> str:
        """Suggest some of the largest files to remove, no more than necessary, and the command to do so."""
        sizes, going = self.sizes(), list[str]()
        removable = (name for name in sizes if stands_alone(name, sizes) and not self.is_claimed(name))
        for name in sorted(removable, key=sizes.__getitem__, reverse=True)[:MAX_SUGGESTIONS]:
            if missing_bytes > 0:
                going.append(name)
                missing_bytes -= sizes[name]
        if not going:
            return RAISE_QUOTA
        elsewhere = "" if self.folder == defaults.WORKSPACE else f" --workspace {shlex.quote(str(self.folder))}"
        named = ", ".join(f"{name} ({format_size(sizes[name])})" for name in going)
        command = f"edgesqz workspace rm {shlex.join(going)}{elsewhere}"
        files = f"file is {named}; remove it" if len(going) == 1 else f"files are {named}; remove them"
        more = ", then free more space" if missing_bytes > 0 else ""
        return f"the largest removable {files} with {command}{more}, or {RAISE_QUOTA}"


def write_file(path: Path, content: bytes, used: Workspace | None = None) -> None:
    """Write a file completely or not at all. Within a workspace, it counts against the quota.

    Args:
        path: The file.
        content: Its content.
        used: The workspace that the command uses. Its quota applies if the file is in it.

    Raises:
        EdgesqzError: The file does not fit the quota, or the disk reports an error.
    """
    place = path.parent.resolve() / path.name
    for folder in place.parents:
        if (folder / OWN).is_dir():
            workspace = used if used and used.folder.resolve() == folder else Workspace(folder)
            workspace.write({place.relative_to(folder).as_posix(): content})
            return
    with disk.errors_named(f"cannot write {path}", path.parent):
        try:
            disk.write_through(temporary(path), content)
            temporary(path).replace(path)
            disk.sync_folder(path.parent)
        finally:
            temporary(path).unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Check that a file can be written, before hours of work.

    Raises:
        EdgesqzError: The folder is missing or cannot be written to, or the path is a folder.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise EdgesqzError(f"cannot write {path}; choose a file in an existing folder with write permission")


def _quota_in_force(quota: str | int | None, folder: Path) -> int | None:
    """Return the effective quota in bytes: the given one, else that of the environment, else the stored one."""
    if quota is not None:
        return parsed("quota", parse_size, str(quota))
    stored = folder / OWN / "quota"
    for source, text in (
        (QUOTA_VARIABLE, os.environ.get(QUOTA_VARIABLE)),
        (str(stored), stored.read_text() if stored.is_file() else None),
    ):
        if text:
            try:
                return parse_size(text)
            except EdgesqzError as error:
                raise EdgesqzError(f"{source}: {error}") from error
    return None
