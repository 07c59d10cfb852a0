"""How the command line shows results, and how a command ends."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

import typer

from edgesqz.command import Option
from edgesqz.workspace import MANIFEST_SUFFIX

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edgesqz.embedding.writing import Embedding
    from edgesqz.predicting import Predictions

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


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """The option that prints JSON."""

    PANEL: ClassVar = "Output"
    json: Annotated[bool, Option("Print JSON instead of a table.")] = False


@dataclass(frozen=True, kw_only=True)
class TableOrJson(JsonOption):
    """Print a result as a table, or as JSON."""

    def show(self, result: Result) -> None:
        """Print the result to standard output."""
        show(result, self.json)


@dataclass(frozen=True, kw_only=True)
class PredictOutput(JsonOption):
    """Print predictions; the command fails if an image could not be read."""

    def show(self, result: Predictions) -> None:
        """Print the predictions, and to standard error why images could not be read."""
        show(result, self.json)
        for failure in result.failures():
            say(f"failed: {failure}")
        if result.failures():
            raise typer.Exit(EXIT_BAD_INPUT)


@dataclass(frozen=True, kw_only=True)
class EmbedOutput:
    """Name the files, and say what verified them and what to do next."""

    def show(self, result: Embedding) -> None:
        """Print to standard output."""
        contract = result.contract
        print(f"{result.folder}: {', '.join(result.files)}")
        for answers in contract.answers.values():
            arena = f", in an arena of {answers.arena_bytes:,} bytes" if answers.arena_bytes else ""
            print(f"{len(contract.images)} test vectors predicted by {answers.engine}{arena}")
        for runtime, reason in contract.not_asked.items():
            print(f"none predicted by {runtime}: {reason}")
        added = len(contract.described) - len(contract.content)
        print(f"its .tflite file contains the labels and the pixel range, {added:,} bytes more")
        print(f"next: read CONTRACT.md; then, in {result.folder}: {result.verification}")
