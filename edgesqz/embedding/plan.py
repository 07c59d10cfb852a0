"""The command ``embed``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgesqz.command import Option, command
from edgesqz.options import WorkspaceOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.embedding.result import Embedding


@dataclass(frozen=True)
class Embed(WorkspaceOptions):
    """Write a folder that runs a model in a device app, with a contract and a self-test.

    Example: `edgesqz embed squeezenet-nano.int8.tflite --target c`
    """

    model: Annotated[
        str | Path,
        Option(
            "A .tflite file (for web, an .onnx file) that export wrote, or its name in the workspace or the zoo.",
            metavar="MODEL",
            positional=True,
        ),
    ]
    target: Annotated[
        str, Option("Type of app: c for Linux boards, micro for microcontrollers, python, or web.", metavar="NAME")
    ]
    _: KW_ONLY
    report: Annotated[
        str | Path | None,
        Option(
            "A report that bench --json wrote, with the accuracy and latency to state in CONTRACT.md.",
            metavar="FILE",
            default="the accuracy in the manifest, for a file from the zoo",
        ),
    ] = None
    out: Annotated[str | Path | None, Option("Folder to write.", metavar="DIR", default="NAME.VARIANT-TARGET")] = None
    force: Annotated[bool, Option("Replace an existing folder that embed wrote.")] = False

    def run(self, console: Console) -> Embedding:
        """Write the whole folder or nothing.

        Raises:
            EdgesqzError: The input is invalid, the target's engine lacks an operator, or the disk reports an error.
        """
        from edgesqz.embedding.writing import write

        return write(self, console)


embed = command(Embed)
