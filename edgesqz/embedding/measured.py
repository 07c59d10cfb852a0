"""The accuracy and latency of a file, if known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgesqz.artifact import Artifact, Manifest
from edgesqz.benchmarking.report import Report


@dataclass(frozen=True)
class Measured:
    """Accuracy and latency of a file. Values that were not measured are None.

    Attributes:
        accuracy: Top-1 accuracy, 0..1.
        images: Description of the images that the accuracy was measured on.
        machine: The processor that ran the measurements.
        engine: The engine that ran the measurements, with its version.
        p50_us: Median latency of one image, in microseconds.
    """

    accuracy: float | None = None
    images: str = ""
    machine: str | None = None
    engine: str | None = None
    p50_us: float | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Measured:
        """Return the figures in a manifest. Only manifests of files that ship with edgesqz contain an accuracy."""
        test = manifest.test
        if test is None:
            return cls()
        return cls(test.accuracy, test.images.describe(), test.machine)

    @classmethod
    def read(cls, report: Path, found: Artifact, runtime: str) -> Measured:
        """Find the figures of a file on a runtime, by its content, in a report of ``edgesqz bench --json``.

        Raises:
            EdgesqzError: The report cannot be read, or has no figures for this content on the bench's engine.
        """
        saved = Report.read(report)
        row, dataset = saved.row_of(found.path, runtime), saved.dataset
        return cls(
            row.accuracy,
            f"{dataset.images:,} {dataset.split} images of {dataset.name}" if dataset else "",
            saved.machine.cpu,
            f"{row.runtime} {row.runtime_version}",
            row.p50_us,
        )
