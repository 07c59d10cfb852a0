"""What ``edgesqz bench --json`` wrote, read again; a file's figures are found by its SHA-256."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from edgesqz.artifact import sha256
from edgesqz.benchmarking.report import SCHEMA
from edgesqz.errors import EdgesqzError


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Latency(_Read):
    """The part of a latency that others need, in microseconds."""

    p50: float


class Row(_Read):
    """The part of a row that others need; see ``edgesqz.benchmarking.report.Row``."""

    path: Path
    sha256: str
    runtime: str | None
    runtime_version: str | None
    error: str | None = None
    accuracy: float | None = None
    latency_us: Latency | None = None


class Dataset(_Read):
    """What accuracy was measured on."""

    name: str
    split: str
    images: int


class Machine(_Read):
    """What the figures were measured on."""

    cpu: str


class SavedReport(_Read):
    """A report that was read from a file.

    Attributes:
        source: the file.
        dataset: None if no accuracy was measured.
    """

    source: Path
    machine: Machine
    dataset: Dataset | None
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a report of this version's schema.

        Raises:
            EdgesqzError: the file cannot be read, is no report, or is one of another schema.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            _check_schema(path, content["schema"])
            return cls.model_validate(content | {"source": path})
        except OSError as error:
            raise EdgesqzError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise EdgesqzError(f"{path} is no report of edgesqz bench --json") from error

    def mentions(self, path: Path) -> bool:
        """Whether a file of this name was measured, whatever its content."""
        return any(row.path.name == path.name for row in self.rows)

    def row_of(self, path: Path, runtime: str | None = None) -> Row:
        """The figures of a model file's very content.

        Args:
            path: the model file; its name does not matter.
            runtime: that it ran on; None for any.

        Raises:
            EdgesqzError: the report has none; the message says if it has those of another content.
        """
        own, on = sha256(path.read_bytes()), f" on {runtime}" if runtime else ""
        rows = [row for row in self.rows if row.sha256 == own and runtime in (None, row.runtime)]
        for row in rows:
            if row.error is None:
                return row
        advice = f"measure it with edgesqz bench {path} --json {self.source}"
        if rows:
            raise EdgesqzError(f"{self.source} has no figures of {path.name}{on}, which failed there: {rows[0].error}")
        if other := next((row.sha256 for row in self.rows if row.path.name == path.name and row.sha256 != own), None):
            raise EdgesqzError(
                f"{self.source} has figures of another file named {path.name}, with SHA-256 {other[:12]}, "
                f"not of this one with {own[:12]}; {advice}"
            )
        raise EdgesqzError(f"{self.source} has no figures of {path.name}{on}; {advice}")


def _check_schema(path: Path, schema: Any) -> None:
    if not isinstance(schema, int):
        raise ValueError(schema)
    if schema < SCHEMA:
        raise EdgesqzError(
            f"{path} was written by an older edgesqz (schema {schema}, this one reads {SCHEMA}); "
            f"measure again with edgesqz bench --json {path}"
        )
    if schema > SCHEMA:
        raise EdgesqzError(
            f"{path} was written by a newer edgesqz (schema {schema}, this one reads {SCHEMA}); install that, "
            f"or measure again with edgesqz bench --json {path}"
        )
