"""Find damaged models and checkpoints in a workspace, and manifests without a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesqz.artifact import MANIFEST_SUFFIX, Artifact, Manifest
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import model_files
from edgesqz.results import Result
from edgesqz.tables import Column, Table, counted
from edgesqz.training import checkpoint
from edgesqz.workspace import Workspace, manifest_path


@dataclass(frozen=True)
class Problem:
    """A damaged file, or a manifest without its model.

    Attributes:
        name: Name of the file, relative to the workspace.
        description: What is wrong with it.
    """

    name: str
    description: str


@dataclass(frozen=True, repr=False)
class Integrity(Result):
    """The result of checking every model and checkpoint in a workspace.

    Attributes:
        checked: Number of files whose content was compared with a checksum.
        problems: Damaged files and manifests without a model.
    """

    checked: int
    problems: tuple[Problem, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per problem."""
        return [asdict(problem) for problem in self.problems]

    def table(self) -> Table:
        """Return one row per problem."""
        rows = [[problem.name, problem.description] for problem in self.problems]
        caption = f"{counted(self.checked, 'file')} checked, {counted(len(rows), 'problem')}"
        return Table([Column(is_name=True), Column(is_prose=True)], rows, caption=caption)


def verify(workspace: Workspace) -> Integrity:
    """Recompute the checksums of models and checkpoints, and look for manifests without a model."""
    problems, checked = list[Problem](), 0
    models = {path.name for path in model_files(workspace.folder) if has_manifest(path)}
    for name in sorted(workspace.sizes()):
        path = workspace.folder / name
        if name in models or checkpoint.model_of(name):
            checked += 1
            if damage := _damage(path):
                problems.append(Problem(name, damage))
        elif _is_orphaned_manifest(path):
            problems.append(Problem(name, "a manifest without its model; remove it with edgesqz workspace rm"))
    return Integrity(checked, tuple(problems))


def has_manifest(path: Path) -> bool:
    """Return whether a file has a manifest."""
    return manifest_path(path).is_file()


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
        return False  # some other JSON file
    return True
