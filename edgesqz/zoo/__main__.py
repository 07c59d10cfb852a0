"""Add trained networks to the zoo: ``python -m edgesqz.zoo WORKSPACE REPORT``.

REPORT is the output of ``edgesqz bench --json`` for the files in WORKSPACE, measured on all test images. Each file is
copied into the zoo; its manifest records the accuracy and how often it has been measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgesqz.artifact import ZOO, Artifact, Evaluation, Images, stored_form
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Measured
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import model_files


def admit(workspace: Path, report: Report) -> list[Path]:
    """Copy the files of a workspace that a report covers into the zoo.

    Raises:
        EdgesqzError: The report has no accuracy, or covers a file with different content. Then nothing is copied.
    """
    dataset = report.dataset
    if dataset is None:
        raise EdgesqzError("the report has no accuracy")
    images = Images(dataset=dataset.name, split=dataset.split, count=dataset.images)
    rows = {path: report.row_of(path) for path in model_files(workspace) if report.mentions(path)}
    accuracies = {path: _accuracy(row) for path, row in rows.items()}
    return [_admit(path, images, accuracy, report.machine.cpu) for path, accuracy in accuracies.items()]


def _accuracy(row: Measured) -> float:
    if row.accuracy is None:
        raise EdgesqzError(f"{row.path} was measured without accuracy")
    return row.accuracy


def _admit(path: Path, images: Images, accuracy: float, machine: str) -> Path:
    manifest, destination = Artifact.open(path).manifest, ZOO / path.name
    assert manifest  # edgesqz writes a manifest for every file
    before = Artifact.open(destination).manifest if destination.is_file() else None
    times = before.test.times if before and before.test and before.sha256 == manifest.sha256 else 0
    test = Evaluation(images=images, accuracy=accuracy, times=times + 1, machine=machine)
    evaluated = manifest.model_copy(update={"test": test})
    for name, content in stored_form(path.read_bytes(), evaluated, path.name).items():
        (ZOO / name).write_bytes(content)
    return destination


if __name__ == "__main__":
    folder, report_file = map(Path, sys.argv[1:])
    for admitted in admit(folder, Report.read(report_file)):
        print(admitted.name)
