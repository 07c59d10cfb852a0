"""The result of a training run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqz.artifact import Artifact, Manifest
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.training import history
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True, repr=False)
class TrainResult(Result):
    """A trained model in the workspace.

    Attributes:
        path: The .keras file.
        size_bytes: Size of the .keras file.
        validation_accuracy: Top-1 accuracy on the validation split, 0..1, or None without a validation split.
        validation_images: Number of images in the validation split.
        warning: Why the model may be useless, or None if its accuracy is significantly better than guessing.
        manifest: The manifest that was written next to the .keras file.
    """

    path: Path
    size_bytes: int
    validation_accuracy: float | None
    validation_images: int
    warning: str | None
    manifest: Manifest

    @classmethod
    def of(cls, artifact: Artifact) -> TrainResult:
        """Describe the artifact that a run wrote."""
        assert artifact.manifest and artifact.manifest.training  # training writes both
        facts = artifact.manifest.training
        return cls(
            path=artifact.path,
            size_bytes=artifact.size_bytes,
            validation_accuracy=facts["validation_accuracy"],
            validation_images=facts["validation_images"],
            warning=facts["warning"],
            manifest=artifact.manifest,
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        """A single record for the model."""
        return [
            {
                "path": str(self.path),
                "size_bytes": self.size_bytes,
                "sha256": self.manifest.sha256,
                "dataset": self.manifest.dataset,
                "validation_accuracy": self.validation_accuracy,
                "validation_images": self.validation_images,
                "warning": self.warning,
            }
        ]

    @property
    def history(self) -> list[dict[str, float]]:
        """The figures of each epoch: loss, accuracies, learning rate at its end, and images per second."""
        assert self.manifest.training
        return list(self.manifest.training["history"])

    def plot(self, path: str | Path) -> None:
        """Plot loss, accuracy and learning rate by epoch, as .png or .svg.

        Raises:
            EdgesqzError: matplotlib is not installed, the suffix is unknown, or the file cannot be written.
        """
        history.draw(self.history, Path(path))

    @property
    def accuracy_summary(self) -> str:
        """A description of the validation accuracy."""
        if self.validation_accuracy is None:
            return "no validation split"
        return f"validation accuracy {self.validation_accuracy:.2%}"

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(self.records[0], indent=2) + "\n"

    def table(self) -> Table:
        """Return one row for the model, with the warning below it."""
        accuracy = "" if self.validation_accuracy is None else f"{self.validation_accuracy:.2%}"
        return Table(
            [
                Column("file", is_name=True),
                Column("size", "right"),
                Column("validation\naccuracy", "right"),
                Column("validation\nimages", "right"),
            ],
            [[str(self.path), format_size(self.size_bytes), accuracy, f"{self.validation_images:,}"]],
            caption=f"warning: {self.warning}" if self.warning else "",
        )
