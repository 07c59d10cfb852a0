"""The command ``inspect``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgesqz.command import Option, command
from edgesqz.options import WorkspaceOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.inspecting.inspection import Inspection


@dataclass(frozen=True)
class Inspect(WorkspaceOptions):
    """Show the contents of a model file: inputs, outputs, quantization, operators, parameters, sizes and metadata.

    The model is not run.

    Example: `edgesqz inspect squeezenet.int8.tflite`
    """

    file: Annotated[
        str | Path,
        Option(
            "A model file from any tool (.tflite, .onnx, .keras, .pt2 or .h5) or a SavedModel folder, or the name of a "
            "file in the workspace or the zoo.",
            metavar="FILE",
            positional=True,
        ),
    ]

    def run(self, console: Console) -> Inspection:
        """Find the file and read it.

        Raises:
            EdgesqzError: The file does not exist, its format is not supported, or it is damaged.
        """
        from edgesqz.inspecting.reading import read
        from edgesqz.lookup import find_model_file
        from edgesqz.workspace import settle

        workspace = Path(self.workspace)
        settle(workspace)
        return read(find_model_file(self.file, workspace))


inspect = command(Inspect)
