"""How the command line shows results, and how a command ends."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgesqz.workspace import MANIFEST_SUFFIX

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EXIT_BAD_INPUT = 1
EXIT_MISSED_BUDGET = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

log = logging.getLogger("edgesqz")


class Result(Protocol):
    """What a command returned."""

    def table(self) -> RenderableType: ...

    def to_json(self) -> str: ...


def show(result: Result, json: bool = False) -> None:
    """Print a result to standard output."""
    if json:
        print(result.to_json(), end="")
    else:
        draw(result.table())


def draw(table: RenderableType) -> None:
    """Print a table to standard output, as wide as the terminal, or 100 columns if there is no terminal."""
    from rich.console import Console

    Console(width=shutil.get_terminal_size((100, 0)).columns).print(table, soft_wrap=True)


def progress_console() -> Console:
    """The console for progress: standard error, so that standard output holds results only."""
    from rich.console import Console

    return Console(stderr=True, quiet=log.level > logging.WARNING)


def say_written(paths: Iterable[Path | str]) -> None:
    """Name every file that was written."""
    if names := ", ".join(map(str, paths)):
        progress_console().print(f"wrote {names}", soft_wrap=True, highlight=False, markup=False)


def with_manifests(paths: Iterable[Path]) -> list[Path]:
    """Each path, followed by that of its manifest."""
    return [each for path in paths for each in (path, path.with_name(path.name + MANIFEST_SUFFIX))]


def say(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr)
