"""Keeping a workspace in order: what is in it and where it came from, what could go, what is damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqz.artifact import KERAS_SUFFIX, MANIFEST_SUFFIX, ZOO, Artifact, Manifest, read_bytes, sha256
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import model_files
from edgesqz.models import ARCHITECTURES
from edgesqz.tables import Column, Table
from edgesqz.training import checkpoint
from edgesqz.workspace import Workspace, stands_alone
from edgesqz.workspace.sizes import format_size

# The kinds of things in a workspace.
CHECKPOINT, EXPORT, SOURCE_MODEL, OTHER = "checkpoint", "export", "source model", "other"

_COLUMNS = (Column("name", is_name=True), Column("kind"), Column("size", "right"))


@dataclass(frozen=True)
class Item:
    """Something in a workspace.

    Attributes:
        name: of its file.
        kind: checkpoint, export, source model (a trained network) or other.
        size_bytes: of its files.
        origin: what it came from, in words; empty if nothing is known.
        files: it consists of: a model and its manifest, or a single file.
        in_use: whether work that is going on will write it.
        can_be_made_again: whether export makes it again from what is here, or the zoo holds the same file.
    """

    name: str
    kind: str
    size_bytes: int
    origin: str
    files: tuple[str, ...]
    in_use: bool
    can_be_made_again: bool


@dataclass(frozen=True)
class Contents:
    """What is in a workspace, the largest first."""

    folder: Path
    quota_bytes: int | None
    used_bytes: int
    items: tuple[Item, ...]

    def to_json(self) -> str:
        """The contents as JSON text."""
        return json.dumps(dataclasses.asdict(self) | {"folder": str(self.folder)}, indent=2) + "\n"

    def table(self) -> Table:
        """A row an item, with its share of the quota or, without one, of what is used."""
        whole = self.quota_bytes or self.used_bytes
        told = f"{format_size(self.used_bytes)} in {self.folder}"
        if self.quota_bytes:
            told += f", {self.used_bytes / self.quota_bytes:.1%} of the quota of {format_size(self.quota_bytes)}"
        rows = []
        for item in self.items:
            origin = f"{item.origin}, in use" if item.in_use else item.origin
            rows.append([item.name, item.kind, format_size(item.size_bytes), f"{item.size_bytes / whole:.1%}", origin])
        columns = [*_COLUMNS, Column("share", "right"), Column("from", is_prose=True)]
        return Table(columns, rows, caption=f"{told}; a model is counted with its manifest")


def look(workspace: Workspace) -> Contents:
    """List what is in a workspace."""
    sizes = workspace.sizes()
    items = (_item(name, sizes, workspace) for name in sizes if stands_alone(name, sizes))
    return Contents(
        workspace.folder,
        workspace.quota_bytes,
        sum(sizes.values()),
        tuple(sorted(items, key=lambda item: -item.size_bytes)),
    )


def _item(name: str, sizes: dict[str, int], workspace: Workspace) -> Item:
    files = tuple(each for each in (name, name + MANIFEST_SUFFIX) if each in sizes)
    kind, origin, again = _described(workspace.folder / name)
    return Item(name, kind, sum(sizes[each] for each in files), origin, files, workspace.is_claimed(name), again)


def _described(path: Path) -> tuple[str, str, bool]:
    """The kind of a file, what it came from, and whether it can be made again."""
    if model := checkpoint.model_of(path.name):
        return CHECKPOINT, f"an unfinished training of {model}", False
    if not _manifest_of(path).is_file():
        return OTHER, "", False
    try:
        manifest = Artifact.open(path).manifest
    except EdgesqzError:
        return OTHER, "damaged; see edgesqz workspace verify", False
    assert manifest  # it is there
    if path.suffix == KERAS_SUFFIX:
        return SOURCE_MODEL, f"trained on {manifest.dataset}", _keras_file(manifest.sha256, ZOO) is not None
    return EXPORT, *_source(manifest, path.parent)


def _manifest_of(path: Path) -> Path:
    return path.with_name(path.name + MANIFEST_SUFFIX)


def _source(manifest: Manifest, folder: Path) -> tuple[str, bool]:
    """What an export came from, and whether that is here."""
    if manifest.untrained:
        return f"{manifest.name} with random weights", manifest.name in ARCHITECTURES
    for place, told in ((folder, ""), (ZOO, " of the zoo")):
        if found := _keras_file(manifest.source_sha256, place):
            return f"{found.name}{told}", True
    return f"a {manifest.name} that is not here", False


def _keras_file(wanted_sha256: str | None, folder: Path) -> Path | None:
    """The Keras model in a folder that has this content."""
    for path in folder.glob(f"*{KERAS_SUFFIX}"):
        with contextlib.suppress(EdgesqzError):  # it cannot be read
            if sha256(read_bytes(path)) == wanted_sha256:
                return path
    return None


@dataclass(frozen=True)
class CleaningPlan:
    """What is to be dropped so that a workspace takes no more than so many bytes.

    Attributes:
        target_bytes: that it may take.
        before_bytes: that it takes.
        after_bytes: that it will take; above the target if too little can be dropped.
        items: to drop, in this order.
    """

    target_bytes: int
    before_bytes: int
    after_bytes: int
    items: tuple[Item, ...]

    def table(self) -> Table:
        """A row for each item to drop."""
        told = f"{format_size(self.before_bytes)} become {format_size(self.after_bytes)}"
        if self.after_bytes > self.target_bytes:
            told += f", not {format_size(self.target_bytes)}: the rest cannot be made again, or is in use"
        rows = [[item.name, item.kind, format_size(item.size_bytes), item.origin] for item in self.items]
        return Table([*_COLUMNS, Column("from", is_prose=True)], rows, caption=told)


def plan_cleaning(workspace: Workspace, target_bytes: int) -> CleaningPlan:
    """Choose what to drop: what can be made again from what remains and, only if that is not enough, checkpoints.

    Of both as few as free enough. The checkpoints of a run go together, for one is of no use without the other. What
    is in use, a trained network that the zoo does not hold, and what is not edgesqz's are left alone.
    """
    contents = look(workspace)
    excess = contents.used_bytes - target_bytes
    idle = [item for item in contents.items if not item.in_use]
    again = [(item,) for item in idle if item.can_be_made_again]
    runs = [
        tuple(item for item in idle if item.kind == CHECKPOINT and item.origin == run)
        for run in dict.fromkeys(item.origin for item in idle if item.kind == CHECKPOINT)
    ]
    lost = _fewest(runs, excess - _bytes(again))
    dropped = [item for group in (*_fewest(again, excess - _bytes(lost)), *lost) for item in group]
    after = contents.used_bytes - sum(item.size_bytes for item in dropped)
    return CleaningPlan(target_bytes, contents.used_bytes, after, tuple(dropped))


def _fewest(groups: Sequence[tuple[Item, ...]], needed_bytes: int) -> list[tuple[Item, ...]]:
    """As few groups as free so many bytes, or all: the largest, until the smallest that is enough can be the last."""
    left, chosen = sorted(groups, key=lambda group: _bytes([group])), list[tuple[Item, ...]]()
    while left and needed_bytes > 0:
        group = next((group for group in left if _bytes([group]) >= needed_bytes), left[-1])
        left.remove(group)
        chosen.append(group)
        needed_bytes -= _bytes([group])
    return chosen


def _bytes(groups: Sequence[tuple[Item, ...]]) -> int:
    return sum(item.size_bytes for group in groups for item in group)


def drop(workspace: Workspace, items: Sequence[Item]) -> None:
    """Remove items, all or none."""
    workspace.remove(*(name for item in items for name in item.files))


def find(workspace: Workspace, names: Sequence[str]) -> list[Item]:
    """The items of these names.

    Raises:
        EdgesqzError: there is no such item, or work that is going on will write it.
    """
    items = {item.name: item for item in look(workspace).items}
    for name in names:
        if name not in items:
            raise EdgesqzError(f"no {name!r} in {workspace.folder}; it holds {', '.join(items) or 'nothing'}")
        if items[name].in_use:
            raise EdgesqzError(f"{name} is in use by work that is going on")
    return [items[name] for name in names]


@dataclass(frozen=True)
class Problem:
    """A file that is not what it should be."""

    name: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What a look at every byte of a workspace has found.

    Attributes:
        checked: files whose content was held against a checksum.
        problems: damaged and orphaned files.
    """

    checked: int
    problems: tuple[Problem, ...]

    def to_json(self) -> str:
        """The verdict as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def told(self) -> str:
        """The verdict, a line a problem."""
        lines = [f"{problem.name}: {problem.what}" for problem in self.problems]
        return "\n".join([*lines, f"{_counted(self.checked, 'file')} checked, {_counted(len(lines), 'problem')}"])


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def verify(workspace: Workspace) -> Verdict:
    """Recompute the checksums of models and checkpoints, and look for manifests without a model."""
    problems, checked = list[Problem](), 0
    models = {path.name for path in model_files(workspace.folder) if _manifest_of(path).is_file()}
    for name in sorted(workspace.sizes()):
        path = workspace.folder / name
        if name in models or checkpoint.model_of(name):
            checked += 1
            if what := _damage(path):
                problems.append(Problem(name, what))
        elif _is_orphaned_manifest(path):
            problems.append(Problem(name, "a manifest without its model; edgesqz workspace rm removes it"))
    return Verdict(checked, tuple(problems))


def _damage(path: Path) -> str | None:
    try:
        if checkpoint.model_of(path.name):
            checkpoint.check(path)
        else:
            Artifact.open(path)
    except EdgesqzError as error:
        return str(error)
    return None


def _is_orphaned_manifest(path: Path) -> bool:
    model = path.with_name(path.name.removesuffix(MANIFEST_SUFFIX))
    if path.suffix != MANIFEST_SUFFIX or model.is_file():
        return False
    try:
        Manifest.model_validate_json(path.read_bytes())
    except ValueError:
        return False  # some other JSON
    return True
