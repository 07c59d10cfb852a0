"""The directory that models live in, under a quota of bytes.

The quota is a promise about the sum of the sizes of all files in the directory: models, manifests, checkpoints,
temporary files and what edgesqz keeps of its own in ``.edgesqz``. A write is charged in full before its first byte, so
the sum is never above the quota, not even while a file is replaced and its old and new content are both on disk.

A change of several files is whole, whenever the process is killed: the new files are written beside the old under
temporary names, then one rename of a folder decides (``.edgesqz/pending`` becomes ``.edgesqz/committed``), then the
new take their places. Whoever comes next to a workspace that was left in the middle drops the temporary files if that
rename had not happened, and finishes the change if it had. The record has no bytes that would have to be charged: what
is to be removed are names of empty files in it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import uuid
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from edgesqz import defaults
from edgesqz.errors import EdgesqzError, NoRoomError
from edgesqz.workspace import disk
from edgesqz.workspace.sizes import format_size, parse_size

if TYPE_CHECKING:
    from filelock import FileLock

QUOTA_VARIABLE = "EDGESQZ_QUOTA"
OWN = ".edgesqz"  # the folder in a workspace of what edgesqz keeps for itself, by which a workspace is known
TEMPORARY_SUFFIX = ".edgesqz-partial"
MANIFEST_SUFFIX = ".json"  # behind the name of a model file
UNFINISHED = ".unfinished"  # a claim whose file is not whole yet
MOST_NAMED = 3  # files that could go


@dataclass(frozen=True)
class Claim:
    """Room that running work has set aside: its files may together take so many bytes.

    Attributes:
        names: of the files, or of folders of files, relative to the workspace.
        size_bytes: that all of them may have at one time, their temporary files included.
    """

    names: tuple[str, ...]
    size_bytes: int

    def covers(self, name: str) -> bool:
        """Whether a file is one of them."""
        whole = name.removesuffix(TEMPORARY_SUFFIX)
        return any(whole == each or whole.startswith(f"{each}/") for each in self.names)


class Workspace:
    """A folder of artifacts and checkpoints that never holds more bytes than its quota.

    Args:
        folder: made with the first write, if it is not there.
        quota: the most bytes that all files together may take, as a number or as text such as ``2MB``; None for what
            the environment variable EDGESQZ_QUOTA says or, without it, what the workspace keeps itself.
        only_read: whether it is only looked at, so that it need not be writable.

    Raises:
        EdgesqzError: the folder cannot be made or written to, or the quota is no size.
    """

    def __init__(
        self, folder: Path = defaults.WORKSPACE, quota: str | int | None = None, *, only_read: bool = False
    ) -> None:
        self.folder = folder
        with disk.errors_named(f"the workspace {folder} cannot be used", folder):
            disk.check_usable(folder, only_read=only_read)
            self.quota_bytes = _quota_in_force(quota, folder)
        (settle if only_read else recover)(folder)

    def sizes(self) -> dict[str, int]:
        """The sizes of all files in the workspace, by their names relative to it, in bytes."""
        return disk.file_sizes(self.folder)

    def used_bytes(self) -> int:
        """The sum of the sizes of all files in the workspace."""
        return sum(self.sizes().values())

    def write(self, contents: Mapping[str, bytes], removing: Sequence[str] = ()) -> None:
        """Write files and remove others, by name, all or none; a file that is there already is replaced.

        Raises:
            NoRoomError: the quota has no room for them beside what is there.
            EdgesqzError: the disk refuses.
        """
        with self._locked():
            self._charge({name: len(content) for name, content in contents.items()})
            with disk.errors_named(f"cannot write {', '.join(contents)} to {self.folder}", self.folder):
                self._change(contents, removing)

    def remove(self, *names: str) -> None:
        """Remove files by name, all or none; those that are not there are passed over."""
        with self._locked(), disk.errors_named(f"cannot remove {', '.join(names)}", self.folder):
            self._change({}, names)

    def room_for(self, names: Sequence[str]) -> int | None:
        """Bytes that files of these names may have together, beside everything else; None without a quota."""
        if self.quota_bytes is None:
            return None
        own = Claim(tuple(names), 0)
        others = {name: size for name, size in self.sizes().items() if not own.covers(name)}
        return self.quota_bytes - self._committed(others)

    @contextlib.contextmanager
    def claim(self, names: Sequence[str], size_bytes: int, what: str = "") -> Iterator[None]:
        """Set room aside for work that will write files of these names, so that nobody else takes it meanwhile.

        Args:
            names: of files, or of folders of files, relative to the workspace.
            size_bytes: the most that they will have together at one time.
            what: they are, in words, if their names would tell nobody.

        Raises:
            NoRoomError: the quota has no room for that.
        """
        if self.quota_bytes is None:
            yield
            return
        claim, path = Claim(tuple(names), size_bytes), self._own / "claims" / uuid.uuid4().hex
        content = json.dumps(vars(claim)).encode()
        with contextlib.ExitStack() as held:
            with self._locked(), disk.errors_named(f"cannot write to {self.folder}", self.folder):
                self._charge({f"{OWN}/claims/{path.name}.json": len(content)}, claim, what=what or ", ".join(names))
                path.parent.mkdir(exist_ok=True)
                held.callback(self._release, path, lock(path.with_suffix(".lock")).acquire())
                disk.write_through(path.with_suffix(UNFINISHED), content)
                path.with_suffix(UNFINISHED).replace(path.with_suffix(".json"))
            yield

    def _release(self, path: Path, alive: contextlib.AbstractContextManager[object]) -> None:
        with self._locked(), alive:
            _unlink_claim(path)

    def is_claimed(self, name: str) -> bool:
        """Whether a file belongs to work that is going on in some process."""
        return any(claim.covers(name) for claim in self._claims())

    def keep_quota(self, size: str | int) -> None:
        """Let the workspace itself hold every command to a quota from now on, if no other is given.

        Raises:
            EdgesqzError: it is no size, or less than what is there already.
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
        """Let the workspace keep no quota any more."""
        self.remove(f"{OWN}/quota")

    @property
    def _own(self) -> Path:
        return self.folder / OWN

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with disk.errors_named(f"the workspace {self.folder} cannot be used", self.folder):
            self._own.mkdir(parents=True, exist_ok=True)
            held = lock(self._own / "lock").acquire()
        with held:
            _recover_locked(self.folder)
            yield

    def _claims(self) -> list[Claim]:
        claims = []
        for path in (self._own / "claims").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # released just now
                claims.append(Claim(**json.loads(path.read_text())))
        return claims

    def _committed(self, sizes: Mapping[str, int], *more: Claim) -> int:
        """Bytes of files, and those that claims have set aside beyond the files they cover."""
        total = sum(sizes.values())
        for claim in (*self._claims(), *more):
            total += max(0, claim.size_bytes - sum(size for name, size in sizes.items() if claim.covers(name)))
        return total

    def _charge(self, asked: Mapping[str, int], *claims: Claim, what: str = "") -> None:
        """Refuse what does not fit, before it is written; what is replaced stays on disk until the new is there."""
        if self.quota_bytes is None:
            return
        sizes = self.sizes()
        used = self._committed(sizes)
        needed = self._committed(sizes | {name + TEMPORARY_SUFFIX: size for name, size in asked.items()}, *claims)
        if needed > self.quota_bytes:
            raise self.refusal(what or ", ".join(asked), needed - used)

    def refusal(self, what: str, asked_bytes: int, told: str = "") -> NoRoomError:
        """What a person is told when something does not fit.

        Args:
            what: does not.
            asked_bytes: that it needs, beside what is there.
            told: that size in words, if it is not exact.
        """
        assert self.quota_bytes is not None  # without one everything fits
        used = self._committed(self.sizes())
        missing = used + asked_bytes - self.quota_bytes
        advice = "raise --quota" if asked_bytes > self.quota_bytes else self._advice(missing)
        return NoRoomError(
            f"{what}: {told or format_size(asked_bytes)} more would not fit the quota of "
            f"{format_size(self.quota_bytes)}, of which {format_size(used)} are used; {advice}"
        )

    def _advice(self, missing_bytes: int) -> str:
        """The largest files that could go, as many as would make the room, and the command that removes them."""
        sizes, going = self.sizes(), list[str]()
        could_go = (name for name in sizes if stands_alone(name, sizes) and not self.is_claimed(name))
        for name in sorted(could_go, key=sizes.__getitem__, reverse=True)[:MOST_NAMED]:
            if missing_bytes > 0:
                going.append(name)
                missing_bytes -= sizes[name]
        if not going:
            return "raise --quota"
        there = "" if self.folder == defaults.WORKSPACE else f" --workspace {shlex.quote(str(self.folder))}"
        told = ", ".join(f"{name} ({format_size(sizes[name])})" for name in going)
        command = f"edgesqz workspace rm {shlex.join(going)}{there}"
        return f"the largest files that could go: {told}; remove them with {command}, or raise --quota"

    def _change(self, contents: Mapping[str, bytes], removing: Sequence[str]) -> None:
        """Make a change whole or not at all; see the top of this file."""
        places = {self.folder / name: content for name, content in contents.items()}
        for place in (*places, *(self.folder / name for name in removing)):
            if place.is_dir():  # found out now, not when half of the files are renamed
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            for place, content in places.items():
                disk.write_through(_temporary(place), content)
            for folder in {place.parent for place in places}:
                disk.sync_folder(folder)
            if len(places) == 1 and not removing:  # one rename is whole by itself
                (place,) = places
                _temporary(place).replace(place)
                disk.sync_folder(place.parent)
                return
            pending = self._own / "pending"
            pending.mkdir()
            for name in removing:
                (pending / quote(name, safe="")).touch()
            disk.sync_folder(pending)
            pending.replace(self._own / "committed")
            disk.sync_folder(self._own)
        finally:
            _recover_locked(self.folder)


def stands_alone(name: str, among: Container[str]) -> bool:
    """Whether a file is neither the manifest of another one, with which it comes and goes, nor edgesqz's own."""
    is_manifest = name.endswith(MANIFEST_SUFFIX) and name.removesuffix(MANIFEST_SUFFIX) in among
    return not is_manifest and not name.startswith(f"{OWN}/")


def recover(folder: Path) -> None:
    """Finish or drop what a killed process left in a workspace, so that what is there is whole.

    Raises:
        EdgesqzError: the disk refuses.
    """
    own = folder / OWN
    unfinished = (path for pattern in ("claims/*", "pending", "committed") for path in own.glob(pattern))
    if not own.is_dir() or not (any(unfinished) or _temporaries(folder)):
        return
    with disk.errors_named(f"the workspace {folder} cannot be used", folder), lock(own / "lock"):
        _recover_locked(folder)


def settle(folder: Path) -> None:
    """Make what is in a workspace whole before it is read: ``recover`` it, unless it cannot be written to.

    Where it cannot, what a killed process left is passed over, for readers look at no temporary file.

    Raises:
        EdgesqzError: it cannot be written to, and a change of several files is half done.
    """
    try:
        recover(folder)
    except EdgesqzError as error:
        if (folder / OWN / "committed").is_dir():
            raise EdgesqzError(
                f"a change of the workspace {folder} is half done and cannot be finished here ({error}); "
                "run edgesqz workspace list as somebody who may write there"
            ) from error


def _recover_locked(folder: Path) -> None:
    own = folder / OWN
    committed = own / "committed"
    if committed.is_dir():
        for path in _temporaries(folder):
            path.replace(path.with_name(path.name.removesuffix(TEMPORARY_SUFFIX)))
            disk.sync_folder(path.parent)
        for mark in committed.iterdir():
            (folder / unquote(mark.name)).unlink(missing_ok=True)
        disk.sync_folder(folder)
        shutil.rmtree(committed)
    for path in _temporaries(folder):
        path.unlink()
    shutil.rmtree(own / "pending", ignore_errors=True)
    for path in own.glob("claims/*.lock"):
        _drop_if_dead(folder, path)


def _drop_if_dead(folder: Path, lock_file: Path) -> None:
    """Remove the claim of a process that is gone, and the folders that were for its temporary files."""
    from filelock import Timeout

    try:
        with lock(lock_file).acquire(timeout=0):
            path = lock_file.with_suffix(".json")
            if path.is_file():
                for name in json.loads(path.read_text())["names"]:
                    if (folder / name).is_dir():
                        shutil.rmtree(folder / name)
            _unlink_claim(path)
    except Timeout:
        return  # alive


def _unlink_claim(path: Path) -> None:
    for suffix in (".json", UNFINISHED, ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; one within a workspace is charged to the quota that is in force there.

    Raises:
        EdgesqzError: the quota has no room for it, or the disk refuses.
    """
    place = path.parent.resolve() / path.name
    for folder in place.parents:
        if (folder / OWN).is_dir():
            Workspace(folder).write({place.relative_to(folder).as_posix(): content})
            return
    with disk.errors_named(f"cannot write {path}", path.parent):
        try:
            disk.write_through(_temporary(path), content)
            _temporary(path).replace(path)
            disk.sync_folder(path.parent)
        finally:
            _temporary(path).unlink(missing_ok=True)


def _quota_in_force(quota: str | int | None, folder: Path) -> int | None:
    """What is asked for, else what the environment says, else what the workspace keeps; in bytes."""
    if quota is not None:
        return parse_size(str(quota))
    kept = folder / OWN / "quota"
    for source, text in (
        (QUOTA_VARIABLE, os.environ.get(QUOTA_VARIABLE)),
        (str(kept), kept.read_text() if kept.is_file() else None),
    ):
        if text:
            try:
                return parse_size(text)
            except EdgesqzError as error:
                raise EdgesqzError(f"{source}: {error}") from error
    return None


def lock(path: Path) -> FileLock:
    """A lock on a file that its process holds until it ends, however it does."""
    from filelock import FileLock

    return FileLock(path)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + TEMPORARY_SUFFIX)


def _temporaries(folder: Path) -> list[Path]:
    return [folder / name for name in disk.file_sizes(folder) if name.endswith(TEMPORARY_SUFFIX)]
