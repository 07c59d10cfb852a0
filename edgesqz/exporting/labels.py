"""Class names that a user gives for a model from another tool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgesqz import artifact
from edgesqz.errors import EdgesqzError, first_line, option

Labels = str | Path | Sequence[str]  # a file with one name per line, or the names


def read_labels(labels: Labels) -> tuple[str, ...]:
    """Read class names, in the order of the model's output.

    Args:
        labels: A UTF-8 text file with one name per line, or the names.

    Raises:
        EdgesqzError: The file cannot be read, there are no names, or a name is blank or occurs twice.
    """
    is_file = isinstance(labels, str | Path)
    lines = _read_lines(Path(labels)) if isinstance(labels, str | Path) else labels
    names = tuple(" ".join(line.split()) for line in lines)
    if problem := _problem(names):
        raise EdgesqzError(f"{labels if is_file else option('labels')}: {problem}")
    return names


def _read_lines(path: Path) -> list[str]:
    try:
        return artifact.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise EdgesqzError(f"{path}: expected {option('labels')} as UTF-8 text: {first_line(error)}") from error


def _problem(names: Sequence[str]) -> str | None:
    """Return what is wrong with class names, or None if nothing is."""
    if not names:
        return "expected one class name per line, found none"
    for number, name in enumerate(names, start=1):
        if not name:
            return f"expected one class name per line; line {number} is blank"
        if name in names[: number - 1]:
            return f"expected a different name for each class; lines {names.index(name) + 1} and {number} are {name!r}"
    return None


def check_labels(labels: Sequence[str], classes: int, described: Sequence[str], source: str) -> None:
    """Check labels against a model.

    Args:
        labels: The labels that the user gave.
        classes: Number of classes of the model.
        described: The labels in the model's manifest. Empty without a manifest.
        source: The model's name in messages.

    Raises:
        EdgesqzError: The number of labels differs from the number of classes, or the manifest has different labels.
    """
    if len(labels) != classes:
        raise EdgesqzError(f"expected {classes} {option('labels')}, one for each class of {source}; got {len(labels)}")
    if described and tuple(described) != tuple(labels):
        raise EdgesqzError(
            f"the manifest of {source} names its classes {', '.join(described)}; remove {option('labels')}"
        )
