"""How trained networks come into the zoo: ``python -m edgesqz.zoo WORKSPACE REPORT``.

REPORT is what ``edgesqz bench --json`` wrote of the files in WORKSPACE, on all test images. Each of them is copied
here, with its accuracy there and how often it has been measured in its manifest.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgesqz.artifact import ZOO, Artifact, Evaluation, Images, stored_form
from edgesqz.benchmarking.saved import Row, SavedReport
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import model_files


def admit(workspace: Path, report: SavedReport) -> list[Path]:
    """Copy the workspace's files that the report has figures of into the zoo; it may have those of other files, too.

    Raises:
        EdgesqzError: the report has no accuracy, or measured another content of one of the files. Nothing is copied.
    """
    seen = report.dataset
    if seen is None:
        raise EdgesqzError(f"{report.source} has no accuracy")
    images = Images(dataset=seen.name, split=seen.split, count=seen.images)
    rows = {path: report.row_of(path) for path in model_files(workspace) if report.mentions(path)}
    return [_admit(path, images, _accuracy(row), report.machine.cpu) for path, row in rows.items()]


def _accuracy(row: Row) -> float:
    if row.accuracy is None:
        raise EdgesqzError(f"{row.path} was measured without accuracy")
    return row.accuracy


def _admit(path: Path, images: Images, accuracy: float, machine: str) -> Path:
    manifest, ours = Artifact.open(path).manifest, ZOO / path.name
    assert manifest  # whatever edgesqz made has one
    before = Artifact.open(ours).manifest if ours.is_file() else None
    times = before.test.times if before and before.test and before.sha256 == manifest.sha256 else 0
    test = Evaluation(images=images, accuracy=accuracy, times=times + 1, machine=machine)
    evaluation = manifest.model_copy(update={"test": test})
    for name, content in stored_form(path.read_bytes(), evaluation, path.name).items():
        (ZOO / name).write_bytes(content)
    return ours


if __name__ == "__main__":
    folder, report_file = map(Path, sys.argv[1:])
    for admitted in admit(folder, SavedReport.read(report_file)):
        print(admitted.name)
