"""The result of ``embed``: a folder for a device app."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqz.embedding.contract import Contract
from edgesqz.results import Result
from edgesqz.tables import Column, Table


@dataclass(frozen=True, repr=False)
class Embedding(Result):
    """A folder that embed wrote.

    Attributes:
        folder: The path of the folder.
        files: The names of the files in the folder.
        contract: The contract of the model file.
        verification: The command that runs the self-test, in the folder.
    """

    folder: Path
    files: tuple[str, ...]
    contract: Contract
    verification: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per file."""
        return [{"file": name} for name in self.files]

    def table(self) -> Table:
        """Return one row per file."""
        return Table([Column("file", is_name=True)], [[name] for name in self.files], str(self.folder))

    def to_json(self) -> str:
        """Return the folder, its files and the self-test command as JSON text. CONTRACT.md has the rest."""
        summary = {"folder": str(self.folder), "files": self.files, "verification": self.verification}
        return json.dumps(summary, indent=2) + "\n"
