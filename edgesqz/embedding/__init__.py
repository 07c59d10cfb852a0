"""Embed: a folder that runs a .tflite file in a device app, and verifies there that it answers as it did here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import defaults
from edgesqz.artifact import Artifact
from edgesqz.embedding.contract import Contract, Measured, manifest_of
from edgesqz.embedding.sources import CONTRACT_FILE, TARGETS, sources
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import find_model_file
from edgesqz.workspace import disk, settle, write_file

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Embedding:
    """What embed wrote.

    Attributes:
        folder: where it lies.
        files: the names of what is in it.
        contract: what the device program promises.
        verification: the command that, in the folder, runs its self-test.
    """

    folder: Path
    files: tuple[str, ...]
    contract: Contract
    verification: str


def embed(
    artifact: str | Path,
    target: str,
    *,
    out: Path | None = None,
    force: bool = False,
    report: Path | None = None,
    workspace: Path = defaults.WORKSPACE,
    console: Console | None = None,
) -> Embedding:
    """Write a folder that runs a model in a device app, with a contract, test vectors and a self-test.

    Args:
        artifact: a .tflite file with its manifest, or the name of one in the workspace or the zoo.
        target: one of ``edgesqz.embedding.TARGETS``.
        out: the folder to make, with those above it; None for ``NAME.VARIANT-TARGET`` here.
        force: replace ``out`` if it is a folder that this function made.
        report: what ``edgesqz bench --json`` wrote of the artifact, for its accuracy and latency; None for what the
            manifest knows of its accuracy.
        workspace: where names are looked up.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: bad input, an operator that the target's engine lacks, or a disk that refuses. Nothing is
            written then.
    """
    from rich.console import Console

    kind = TARGETS.get(target)
    if kind is None:
        raise EdgesqzError(f"unknown target {target!r}; the known are {', '.join(TARGETS)}")
    settle(workspace)
    found = Artifact.open(find_model_file(artifact, workspace))
    manifest = manifest_of(found)
    folder = out or Path(f"{found.path.stem}-{target}")
    _refuse_to_overwrite(folder, force)
    measured = Measured.read(report, found) if report else Measured.of(manifest)
    with (console or Console(quiet=True)).status(f"{found.path.name}: answering the test vectors"):
        contract = Contract.of(found, manifest, measured, kind.runtimes, kind.optional)
    files = sources(target, contract, folder.absolute().name)
    _put(folder, files)
    return Embedding(folder, tuple(files), contract, kind.verification)


def _refuse_to_overwrite(folder: Path, force: bool) -> None:
    if not os.path.lexists(folder):
        return
    ours = folder.is_dir() and (not any(folder.iterdir()) or (folder / CONTRACT_FILE).is_file())
    if folder.is_symlink() or not ours:
        raise EdgesqzError(
            f"{folder} is no folder that edgesqz embed made, so it is not replaced; choose another --out"
        )
    if not force:
        raise EdgesqzError(f"{folder} exists; --force replaces it, or choose another --out")


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
