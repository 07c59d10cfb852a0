"""List the contents of a workspace and their origins, and remove items."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.artifact import KERAS_SUFFIX, MANIFEST_SUFFIX, ZOO, Artifact, Manifest, read_bytes, sha256
from edgesqz.errors import EdgesqzError
from edgesqz.maintenance.integrity import has_manifest
from edgesqz.models.architectures import ARCHITECTURES
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.training import checkpoint
from edgesqz.workspace import Workspace, stands_alone
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.text import Text

# The types of items in a workspace.
CHECKPOINT, EXPORT, SOURCE_MODEL, OTHER = "checkpoint", "export", "source model", "other"

COLUMNS = (Column("name", is_name=True), Column("kind"), Column("size", "right"))


@dataclass(frozen=True)
class Item:
    """A model with its manifest, or a single file.

    Attributes:
        name: Name of the model or of the file, relative to the workspace.
        kind: checkpoint, export, source model (a trained network) or other.
        size_bytes: Size of its files.
        origin: Description of its origin. Empty if unknown.
        files: Names of its files.
        in_use: Whether a running command will write it.
        reproducible: Whether export can recreate it from the contents of the workspace, or the zoo has the same file.
    """

    name: str
    kind: str
    size_bytes: int
    origin: str
    files: tuple[str, ...]
    in_use: bool
    reproducible: bool


@dataclass(frozen=True, repr=False)
class Contents(Result):
    """The contents of a workspace.

    Attributes:
        folder: The workspace.
        quota_bytes: Quota of the workspace, or None without a quota.
        used_bytes: Total size of its files.
        items: Its items, largest first.
    """

    folder: Path
    quota_bytes: int | None
    used_bytes: int
    items: tuple[Item, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each item."""
        return [asdict(item) for item in self.items]

    def table(self) -> Table:
        """Return one row per item, with its share of the quota or, without a quota, of the used bytes."""
        whole = self.quota_bytes or self.used_bytes
        used = f"{format_size(self.used_bytes)} in {self.folder}"
        if self.quota_bytes:
            used += f", {self.used_bytes / self.quota_bytes:.1%} of the quota of {format_size(self.quota_bytes)}"
        rows = []
        for item in self.items:
            origin = f"{item.origin}, in use" if item.in_use else item.origin
            rows.append([item.name, item.kind, format_size(item.size_bytes), f"{item.size_bytes / whole:.1%}", origin])
        columns = [*COLUMNS, Column("share", "right"), Column("from", is_prose=True)]
        return Table(columns, rows, caption=f"{used}; the size of a model includes its manifest")


@dataclass(frozen=True, repr=False)
class Removal(Result):
    """Items that were removed from a workspace.

    Attributes:
        items: The removed models and files.
    """

    items: tuple[Item, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each item."""
        return [asdict(item) for item in self.items]

    def table(self) -> Text:
        """Return a line with the names and the total size."""
        from rich.text import Text

        names = ", ".join(item.name for item in self.items)
        return Text(f"removed {names}: {format_size(sum(item.size_bytes for item in self.items))}")


def contents(workspace: Workspace) -> Contents:
    """List the contents of a workspace."""
    sizes = workspace.sizes()
    items = (_item(name, sizes, workspace) for name in sizes if stands_alone(name, sizes))
    by_size = sorted(items, key=lambda item: -item.size_bytes)
    return Contents(workspace.folder, workspace.quota_bytes, sum(sizes.values()), tuple(by_size))


def remove(workspace: Workspace, names: Sequence[str]) -> Removal:
    """Remove items by name, all or none.

    Raises:
        EdgesqzError: The item does not exist, or a running command will write it.
    """
    held = {item.name: item for item in contents(workspace).items}
    for name in names:
        if name not in held:
            raise EdgesqzError(f"no {name!r} in {workspace.folder}; it contains {', '.join(held) or 'nothing'}")
        if held[name].in_use:
            raise EdgesqzError(f"{name} is in use by a running command; wait until it ends, or stop it")
    removed = tuple(held[name] for name in dict.fromkeys(names))
    delete(workspace, removed)
    return Removal(removed)


def delete(workspace: Workspace, items: Iterable[Item]) -> None:
    """Delete the files of items, all or none."""
    workspace.remove(*(name for item in items for name in item.files))


def _item(name: str, sizes: dict[str, int], workspace: Workspace) -> Item:
    files = tuple(each for each in (name, name + MANIFEST_SUFFIX) if each in sizes)
    kind, origin, reproducible = _described(workspace.folder / name)
    size_bytes = sum(sizes[each] for each in files)
    return Item(name, kind, size_bytes, origin, files, workspace.is_claimed(name), reproducible)


def _described(path: Path) -> tuple[str, str, bool]:
    """Return the type of a file, its origin, and whether it is reproducible."""
    if model := checkpoint.model_of(path.name):
        return CHECKPOINT, f"unfinished training of {model}", False
    if not has_manifest(path):
        return OTHER, "", False
    try:
        manifest = Artifact.open(path).manifest
    except EdgesqzError:
        return OTHER, "damaged; see edgesqz workspace verify", False
    assert manifest  # has_manifest is true
    if path.suffix == KERAS_SUFFIX:
        return SOURCE_MODEL, f"trained on {manifest.dataset}", _keras_file(manifest.sha256, ZOO) is not None
    return EXPORT, *_source(manifest, path.parent)


def _source(manifest: Manifest, folder: Path) -> tuple[str, bool]:
    """Return the source model of an export, and whether it is still available."""
    if manifest.untrained:
        return f"{manifest.name} with random weights", manifest.name in ARCHITECTURES
    for place, owner in ((folder, ""), (ZOO, " of the zoo")):
        if found := _keras_file(manifest.source_sha256, place):
            return f"{found.name}{owner}", True
    return f"{manifest.name}, not in the workspace", False


def _keras_file(wanted_sha256: str | None, folder: Path) -> Path | None:
    """Find the Keras model with this content in a folder."""
    for path in folder.glob(f"*{KERAS_SUFFIX}"):
        with contextlib.suppress(EdgesqzError):  # it cannot be read
            if sha256(read_bytes(path)) == wanted_sha256:
                return path
    return None
