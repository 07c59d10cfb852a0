"""The names of a model's classes, as the person who brings it gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgesqz import artifact
from edgesqz.errors import EdgesqzError, first_line, option

Labels = str | Path | Sequence[str]  # a file with one a line, or themselves


def read_labels(labels: Labels) -> tuple[str, ...]:
    """Read the names of classes, in the order of the model's output.

    Args:
        labels: a UTF-8 text file with one a line, or the names themselves.

    Raises:
        EdgesqzError: the file cannot be read, there are no names, or one is blank or there twice.
    """
    if isinstance(labels, (str, Path)):
        try:
            named = artifact.read_bytes(Path(labels)).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise EdgesqzError(f"{labels}: expected {option('labels')} as UTF-8 text: {first_line(error)}") from error
    else:
        named = list(labels)
    source = labels if isinstance(labels, (str, Path)) else option("labels")
    names = tuple(" ".join(name.split()) for name in named)
    if not names:
        raise EdgesqzError(f"{source}: expected the name of a class in each line; there is none")
    for number, name in enumerate(names, start=1):
        if not name:
            raise EdgesqzError(f"{source}: expected the name of a class in each line; line {number} is blank")
        if name in names[: number - 1]:
            first = names.index(name) + 1
            raise EdgesqzError(
                f"{source}: expected another name for each class; lines {first} and {number} are {name!r}"
            )
    return names


def check_labels(labels: Sequence[str], classes: int, described: Sequence[str], source: str) -> None:
    """Hold labels against the model that they are for.

    Args:
        labels: those that were given.
        classes: how many outputs the model has.
        described: the labels of its manifest; empty without one.
        source: what the model is called in a message.

    Raises:
        EdgesqzError: there are more or fewer labels than classes, or the manifest has others.
    """
    if len(labels) != classes:
        raise EdgesqzError(f"expected {classes} {option('labels')}, one for each class of {source}; got {len(labels)}")
    if described and tuple(described) != tuple(labels):
        raise EdgesqzError(
            f"the manifest of {source} names its classes {', '.join(described)}; leave out {option('labels')}"
        )
