"""Keep files that were exported from another model with the same name."""

from __future__ import annotations

import os
from pathlib import Path

from edgesqz.artifact import ZOO, Artifact, Manifest
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.source import Source, SourceFile


def check(path: Path, source: SourceFile) -> None:
    """Check that an export may replace a file, which must be an earlier export of the same model or damaged.

    Raises:
        EdgesqzError: The file was exported from another model, or not by edgesqz.
    """
    try:
        manifest = Artifact.open(path).manifest
    except EdgesqzError:  # a damaged file, which a new export repairs
        return
    if manifest is None:
        was = "was not written by edgesqz export"
    elif _is_of(source, manifest, path.parent):
        return
    else:
        other = os.path.normpath(path.parent / manifest.source) if manifest.source else "another model"
        was = f"was exported from {other}, not from {source.source}"
    raise EdgesqzError(
        f"{path} {was}; replace it with {option('force')}, rename one of the models, or choose another "
        f"{option('workspace')}"
    )


def recorded(source: Source | SourceFile, folder: Path) -> str | None:
    """Return the path of a source model as the manifests of its exports in a folder record it. See ``Manifest``."""
    if source.path is None or source.path.parent == ZOO:
        return None
    return Path(os.path.relpath(source.path.resolve(), folder.resolve())).as_posix()


def _is_of(source: SourceFile, manifest: Manifest, folder: Path) -> bool:
    """Return whether a file was exported from a source model, or from an earlier version of its file."""
    is_same_file = manifest.source is not None and manifest.source == recorded(source, folder)
    return is_same_file or manifest.source_sha256 == source.sha256
