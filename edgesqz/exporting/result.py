"""The result of an export: the files it wrote or, with ``dry_run``, would write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.results import Result
from edgesqz.tables import Column, Table, stacked
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Group

    from edgesqz.artifact import Artifact
    from edgesqz.exporting.sensitivity import LayerChoice


@dataclass(frozen=True)
class PlannedFile:
    """A file that an export would write.

    Attributes:
        file_name: The name of the file.
        expected_bytes: Estimated size of the file.
        exact_bytes: The size of the file and its manifest, or None if the estimate already exceeds the available space.
        fits: Whether the file fits the quota after the previous files, or None without a quota or after an error.
        error: Why the file cannot be exported, for a reason other than its size.
    """

    file_name: str
    expected_bytes: int
    exact_bytes: int | None = None
    fits: bool | None = None
    error: str | None = None

    @property
    def is_possible(self) -> bool:
        """Whether the file can be exported and fits the quota, if there is one."""
        return self.error is None and self.fits is not False


@dataclass(frozen=True)
class RefusedFile:
    """A file that was not written.

    Attributes:
        file_name: The name of the file.
        reason: Why it was not written.
    """

    file_name: str
    reason: str

    def __str__(self) -> str:
        """Return the name and the reason."""
        return f"{self.file_name}: {self.reason}"


@dataclass(frozen=True, repr=False)
class ExportResult(Result):
    """The files of one export. Iterating over it yields its artifacts.

    Attributes:
        artifacts: The new files by format, then by variant, in the requested order. Empty for a dry run.
        planned: The files that a dry run would have written.
        quota_bytes: The quota of the workspace, or None if there is none.
        used_bytes: Number of bytes used in the workspace after the export.
        failed: The requested files that could not be exported.
        skipped: The files that ``all_variants`` skipped because they could not be exported.
        layer_choices: The layers of each mixed file, by its name, with the bits chosen for them.
    """

    artifacts: tuple[Artifact, ...]
    planned: tuple[PlannedFile, ...]
    quota_bytes: int | None
    used_bytes: int
    failed: tuple[RefusedFile, ...] = ()
    skipped: tuple[RefusedFile, ...] = ()
    layer_choices: Mapping[str, tuple[LayerChoice, ...]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Artifact]:
        """Iterate over the artifacts."""
        return iter(self.artifacts)

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self.artifacts)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per file. The record of a mixed file includes its layers."""
        found = [*map(_record, self.artifacts), *map(dataclasses.asdict, self.planned)]
        return [record | self._layers(Path(record.get("path") or record["file_name"]).name) for record in found]

    def _layers(self, file_name: str) -> dict[str, Any]:
        choices = self.layer_choices.get(file_name)
        return {"layers": [dataclasses.asdict(choice) for choice in choices]} if choices else {}

    def to_json(self) -> str:
        """Return the files, those that were not written, the quota and the bytes used as JSON text."""
        found = {
            "files": self.records,
            "failed": [dataclasses.asdict(file) for file in self.failed],
            "skipped": [dataclasses.asdict(file) for file in self.skipped],
            "quota_bytes": self.quota_bytes,
            "used_bytes": self.used_bytes,
        }
        return json.dumps(found, indent=2) + "\n"

    def table(self) -> Group:
        """Return one row per file, and a table of layers for each mixed file.

        The caption shows the quota, and why some files cannot be exported.
        """
        return stacked([self._files_table(), *self.layer_tables()])

    def layer_tables(self) -> list[Table]:
        """Return a table of the layers of each mixed file."""
        return [choices_table(name, choices) for name, choices in self.layer_choices.items()]

    def _files_table(self) -> Table:
        used = f"{format_size(self.used_bytes)} used"
        caption = used if self.quota_bytes is None else f"quota {format_size(self.quota_bytes)} ({used})"
        if self.planned:
            return self._planned_table(f"{caption}; nothing was written")
        lines = [f"failed: {line}" for line in by_reason(self.failed)]
        lines += [f"skipped: {line}" for line in by_reason(self.skipped)]
        return self._written_table("\n".join([caption, *lines]))

    def _written_table(self, caption: str) -> Table:
        columns = [Column("file", is_name=True), Column("size", "right"), Column("verification", is_prose=True)]
        rows = [
            [str(artifact.path), format_size(artifact.size_bytes), verification_summary(artifact)] for artifact in self
        ]
        return Table(columns, rows, caption=caption)

    def _planned_table(self, caption: str) -> Table:
        reasons = by_reason([RefusedFile(file.file_name, file.error) for file in self.planned if file.error])
        return Table(
            [
                Column("file", is_name=True),
                Column("estimated\nsize", "right"),
                Column("exact size,\nwith manifest", "right"),
                Column("fits"),
            ],
            [_planned_row(file) for file in self.planned],
            caption="\n".join([caption, *reasons]),
        )


def by_reason(files: Sequence[RefusedFile]) -> list[str]:
    """Return a line for each reason, with the names of all files that have it."""
    names: dict[str, list[str]] = {}
    for file in files:
        names.setdefault(file.reason, []).append(file.file_name)
    return [str(RefusedFile(", ".join(affected), reason)) for reason, affected in names.items()]


def choices_table(file_name: str, choices: Sequence[LayerChoice]) -> Table:
    """Return the layers of a mixed file that can have 8 or 4 bits, and the choice for each."""
    columns = [
        Column("layer", is_name=True),
        Column("8 bits\nB", "right"),
        Column("4 bits\nB", "right"),
        Column("SQNR\ndB", "right"),
        Column("loss\n/ kB", "right"),
        Column("chosen\nbits", "right"),
    ]
    rows = [
        [
            choice.layer,
            f"{choice.int8_bytes:,}",
            f"{choice.int4_bytes:,}",
            f"{choice.sqnr_db:.1f}",
            f"{choice.loss_per_kb:.1e}",
            str(choice.bits),
        ]
        for choice in choices
    ]
    caption = (
        "SQNR of the weights with 4 bits; loss: mean squared change of the outputs on training images if only this "
        "layer has 4 bits, per 1,000 bytes saved"
    )
    return Table(columns, rows, file_name, caption)


def _planned_row(file: PlannedFile) -> list[str]:
    exact = "" if file.exact_bytes is None else format_size(file.exact_bytes)
    fits = "see below" if file.error else "" if file.fits is None else "yes" if file.fits else "no"
    return [file.file_name, f"about {format_size(file.expected_bytes)}", exact, fits]


def verification_summary(artifact: Artifact) -> str:
    """Describe how well an export agrees with its source model."""
    assert artifact.manifest and artifact.manifest.verification  # export writes both
    if artifact.manifest.untrained:
        return "random weights"
    found = artifact.manifest.verification
    images = found.images.describe()
    if found.agreement is None:
        ratios = ", ".join(f"{ratio:.1f}" for ratio in found.sqnr_db or ())
        return f"SQNR of the outputs {ratios} dB on {images}, largest difference {found.max_error:.2g}"
    caution = " (not an accuracy)" if found.images.are_drawn else ""
    accuracy = ""
    # The accuracy shows whether the pixel values are wrong. edgesqz's own models were trained on these images.
    if artifact.manifest.source_pixels and found.source_accuracy is not None:
        accuracy = f"; the source model classifies {found.source_accuracy:.1%} of them correctly"
    return f"agrees with the source model on {found.agreement:.1%} of {images}{caution}{accuracy}"


def _record(artifact: Artifact) -> dict[str, Any]:
    assert artifact.manifest and artifact.manifest.verification  # export writes both
    verification = artifact.manifest.verification.model_dump(mode="json")
    return {"path": str(artifact.path), "size_bytes": artifact.size_bytes, "verification": verification}
