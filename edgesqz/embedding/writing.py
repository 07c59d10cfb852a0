"""Writing a folder that runs a .tflite file in a device app, and verifies there that its predictions are the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.artifact import Artifact
from edgesqz.embedding.contract import Contract, Measured, manifest_of
from edgesqz.embedding.plan import Embed
from edgesqz.embedding.sources import CONTRACT_FILE, TARGETS, sources
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import find_model_file
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.workspace import disk, settle, write_file

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, repr=False)
class Embedding(Result):
    """What embed wrote.

    Attributes:
        folder: where it is.
        files: the names of what is in it.
        contract: what the device program promises.
        verification: the command that, in the folder, runs its self-test.
    """

    folder: Path
    files: tuple[str, ...]
    contract: Contract
    verification: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each file."""
        return [{"file": name} for name in self.files]

    def table(self) -> Table:
        """Return a row for each file."""
        return Table([Column("file", is_name=True)], [[name] for name in self.files], str(self.folder))

    def to_json(self) -> str:
        """Return the folder, its files and the self-test's command as JSON text; the contract is in CONTRACT.md."""
        told = {"folder": str(self.folder), "files": self.files, "verification": self.verification}
        return json.dumps(told, indent=2) + "\n"


def write(plan: Embed, console: Console) -> Embedding:
    """Write the folder that a command asks for."""
    kind = TARGETS.get(plan.target)
    if kind is None:
        raise EdgesqzError(f"unknown {option('target')} {plan.target!r}; expected one of {', '.join(TARGETS)}")
    workspace = Path(plan.workspace)
    settle(workspace)
    artifact = Artifact.open(find_model_file(plan.model, workspace))
    manifest = manifest_of(artifact)
    folder = Path(plan.out or f"{artifact.path.stem}-{plan.target}")
    _refuse_to_overwrite(folder, plan.force)
    measured = Measured.read(Path(plan.report), artifact) if plan.report else Measured.of(manifest)
    with console.status(f"{artifact.path.name}: predicting the test vectors"):
        contract = Contract.of(artifact, manifest, measured, kind.runtimes, kind.optional)
    files = sources(plan.target, contract, folder.absolute().name)
    _put(folder, files)
    return Embedding(folder, tuple(files), contract, kind.verification)


def _refuse_to_overwrite(folder: Path, force: bool) -> None:
    if not os.path.lexists(folder):
        return
    ours = folder.is_dir() and (not any(folder.iterdir()) or (folder / CONTRACT_FILE).is_file())
    if folder.is_symlink() or not ours:
        raise EdgesqzError(
            f"{folder} was not made by edgesqz embed, so it is not replaced; choose another {option('out')}"
        )
    if not force:
        raise EdgesqzError(f"{folder} exists; {option('force')} replaces it, or choose another {option('out')}")


def _put(folder: Path, files: dict[str, bytes]) -> None:
    """Make the folder beside its place and rename it: it appears whole or not at all."""
    with (
        disk.errors_named(f"cannot write {folder}", folder.parent),
        _parents_made(folder),
        _scratch_beside(folder) as scratch,
    ):
        made, former = scratch / "made", scratch / "former"
        made.mkdir()
        for name, content in files.items():
            write_file(made / name, content)
        try:
            if folder.exists():
                folder.rename(former)
            made.rename(folder)
        finally:
            if former.exists() and not folder.exists():
                former.rename(folder)


@contextmanager
def _parents_made(folder: Path) -> Iterator[None]:
    """The folders above a folder; those that were missing are gone again after an error."""
    missing = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # somebody else has put something there
            for parent in missing:
                if parent.exists():
                    parent.rmdir()
        raise


@contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk, which is gone afterwards."""
    scratch = folder.absolute().with_name(f".{folder.absolute().name}.{os.getpid()}")
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
