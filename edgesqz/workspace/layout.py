"""The names of files in a workspace: which belong together, and which are temporary."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from edgesqz.workspace import disk

OWN = ".edgesqz"  # folder for edgesqz's own records, which makes a folder a workspace
TEMPORARY_SUFFIX = ".edgesqz-partial"
MANIFEST_SUFFIX = ".json"  # appended to the name of a model file


def manifest_path(path: Path) -> Path:
    """Return the path of a model file's manifest."""
    return path.with_name(path.name + MANIFEST_SUFFIX)


def stands_alone(name: str, among: Container[str]) -> bool:
    """Return whether a file is neither the manifest of another file nor one of edgesqz's own records."""
    is_manifest = name.endswith(MANIFEST_SUFFIX) and name.removesuffix(MANIFEST_SUFFIX) in among
    return not is_manifest and not name.startswith(f"{OWN}/")


def temporary(path: Path) -> Path:
    """Return the path under which a file is written before it replaces the one at ``path``."""
    return path.with_name(path.name + TEMPORARY_SUFFIX)


def final(path: Path) -> Path:
    """Return the path that a temporary file is written for."""
    return path.with_name(path.name.removesuffix(TEMPORARY_SUFFIX))


def temporaries(folder: Path) -> list[Path]:
    """Return all temporary files in a folder and its subfolders."""
    return [folder / name for name in disk.file_sizes(folder) if name.endswith(TEMPORARY_SUFFIX)]
