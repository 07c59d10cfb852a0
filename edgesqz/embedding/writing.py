"""Write a folder that runs a model file in a device app."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import progress
from edgesqz.artifact import Artifact
from edgesqz.embedding.contract import Contract, manifest_of
from edgesqz.embedding.measured import Measured
from edgesqz.embedding.plan import Embed
from edgesqz.embedding.result import Embedding
from edgesqz.embedding.sources import CONTRACT_FILE, TARGETS, sources
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import find_model_file
from edgesqz.workspace import disk, settle, write_file

if TYPE_CHECKING:
    from rich.console import Console


def write(plan: Embed, console: Console) -> Embedding:
    """Write the folder of a plan. See ``Embed.run``."""
    kind = TARGETS.get(plan.target)
    if kind is None:
        raise EdgesqzError(f"unknown {option('target')} {plan.target!r}; choose from {', '.join(TARGETS)}")
    workspace = Path(plan.workspace)
    settle(workspace)
    artifact = Artifact.open(find_model_file(plan.model, workspace))
    manifest = manifest_of(artifact, kind.suffix)
    folder = Path(plan.out or f"{artifact.path.stem}-{plan.target}")
    _refuse_to_overwrite(folder, plan.force)
    measured = Measured.read(Path(plan.report), artifact, kind.runtimes[0]) if plan.report else Measured.of(manifest)
    with progress.status(console, f"{artifact.path.name}: predicting the test vectors"):
        contract = Contract.of(artifact, manifest, measured, kind.runtimes, kind.optional)
    files = sources(plan.target, contract, folder.absolute().name)
    _write_whole(folder, files)
    return Embedding(folder, tuple(files), contract, kind.verification)


def _refuse_to_overwrite(folder: Path, force: bool) -> None:
    if not os.path.lexists(folder):
        return
    replaceable = folder.is_dir() and (not any(folder.iterdir()) or (folder / CONTRACT_FILE).is_file())
    if folder.is_symlink() or not replaceable:
        raise EdgesqzError(f"{folder} was not written by edgesqz embed; choose another {option('out')}")
    if not force:
        raise EdgesqzError(
            f"{folder} already exists; replace it with {option('force')}, or choose another {option('out')}"
        )


def _write_whole(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files to a scratch folder and rename it, so that the folder appears whole or not at all."""
    with (
        disk.errors_named(f"cannot write {folder}", folder.parent),
        _parents_of(folder),
        _scratch_beside(folder) as scratch,
    ):
        new, former = scratch / "new", scratch / "former"
        new.mkdir()
        for name, content in files.items():
            write_file(new / name, content)
        try:
            if folder.exists():
                folder.rename(former)
            new.rename(folder)
        finally:
            if former.exists() and not folder.exists():
                former.rename(folder)


@contextmanager
def _parents_of(folder: Path) -> Iterator[None]:
    """Create the missing parents of a folder, and remove them again after an error."""
    missing = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # another process wrote to one of them
            for parent in missing:
                if parent.exists():
                    parent.rmdir()
        raise


@contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """Create a scratch folder on the same disk, and remove it afterwards."""
    scratch = folder.absolute().with_name(f".{folder.absolute().name}.{os.getpid()}")
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
