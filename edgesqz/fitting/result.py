"""The result of fit: the files that were kept, and why the others were not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgesqz import defaults
from edgesqz.artifact import MANIFEST_SUFFIX
from edgesqz.exporting.result import RefusedFile, by_reason
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A file that is in the workspace because it is the best for its dataset.

    Attributes:
        file_name: Name of the file.
        dataset: The dataset that it was measured on.
        in_workspace: Whether it was in the workspace before.
        size_bytes: Size of the file with its manifest.
        selection_accuracy: Top-1 accuracy on the half of the test images that selects, 0..1.
        accuracy: Top-1 accuracy on the other half, 0..1.
        latency_us: Median latency of one image; None for an engine that is not timed.
        note: Why it is the best.
    """

    file_name: str
    dataset: str
    in_workspace: bool
    size_bytes: int
    selection_accuracy: float
    accuracy: float
    latency_us: float | None
    note: str

    @property
    def stored_names(self) -> tuple[str, str]:
        """The names of the file and of its manifest."""
        return self.file_name, self.file_name + MANIFEST_SUFFIX


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A file that was not kept.

    Attributes:
        label: Name of the file, with its folder if another file has that name.
        dataset: The dataset that it was or would be measured on, or an empty string if unknown.
        in_workspace: Whether it is in the workspace.
        size_bytes: Size of the file with its manifest, or None if it was not exported.
        selection_accuracy: Top-1 accuracy on the half of the test images that selects, 0..1, or None if it was not
            measured.
        latency_us: Median latency of one image, or None if it was not measured.
        reason: Why it was not kept.
    """

    label: str
    dataset: str
    in_workspace: bool
    size_bytes: int | None
    selection_accuracy: float | None
    latency_us: float | None
    reason: str


@dataclass(frozen=True, repr=False)
class FitResult(Result):
    """The files that fit considered.

    Attributes:
        quota_bytes: The quota of the workspace.
        room_bytes: What the quota had left; negative if the workspace exceeded it.
        kept: The best file for each dataset, if any fits.
        rejected: The other files.
        folder: The workspace.
    """

    quota_bytes: int
    room_bytes: int
    kept: tuple[Kept, ...]
    rejected: tuple[Rejected, ...]
    folder: Path = field(default=defaults.WORKSPACE, compare=False)

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each file, those that were kept first."""
        files: tuple[Kept | Rejected, ...] = (*self.kept, *self.rejected)
        return [asdict(file) for file in files]

    def table(self) -> Table:
        """Return a table of the measured files, those that were kept first. The caption lists the others by reason."""
        heads = ("size with\nmanifest, kB", "selection\ntop-1 %", "test\ntop-1 %", "p50\nµs")
        kept = [
            [
                file.file_name,
                *_cells(file.size_bytes, file.selection_accuracy, file.accuracy, file.latency_us),
                f"{'stays' if file.in_workspace else 'kept'}: {file.note}",
            ]
            for file in self.kept
        ]
        rejected = [
            [file.label, *_cells(file.size_bytes, file.selection_accuracy, None, file.latency_us), file.reason]
            for file in sorted(self.rejected, key=lambda file: -(file.selection_accuracy or 0))
            if file.selection_accuracy is not None
        ]
        others = [RefusedFile(file.label, file.reason) for file in self.rejected if file.selection_accuracy is None]
        halves = "one half of the test images selects, the other half tests"
        return Table(
            [
                Column("file", is_name=True),
                *(Column(head, "right") for head in heads),
                Column("outcome", is_prose=True),
            ],
            kept + rejected,
            caption="\n".join([f"{self._room()}; {halves}", *(f"not measured: {line}" for line in by_reason(others))]),
        )

    def _room(self) -> str:
        free, over = max(0, self.room_bytes), max(0, -self.room_bytes)
        exceeded = f"; the workspace exceeds it by {format_size(over)}" if over else ""
        return f"{format_size(free)} of the quota of {format_size(self.quota_bytes)} were free{exceeded}"


def _cells(
    size_bytes: int | None, selection_accuracy: float | None, accuracy: float | None, latency_us: float | None
) -> list[str]:
    """Format the figures of a file; empty for unknown ones."""
    figures = ((size_bytes, 1e-3, 1), (selection_accuracy, 100, 2), (accuracy, 100, 2), (latency_us, 1, 1))
    return ["" if value is None else f"{value * factor:.{digits}f}" for value, factor, digits in figures]
