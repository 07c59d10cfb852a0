"""How trained networks come into the zoo: ``python -m edgesqz.zoo WORKSPACE REPORT``.

REPORT is what ``edgesqz bench --json`` wrote of the files in WORKSPACE, on all test pictures. Each of them is copied
here, with its accuracy there and how often it has been measured in its manifest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgesqz.artifact import ZOO, Artifact, Examined, Pictures, stored_form


def admit(workspace: Path, report: dict[str, Any]) -> list[Path]:
    """Copy the files of a report into the zoo; files from elsewhere, which it may list too, stay where they are."""
    dataset = report["dataset"]
    pictures = Pictures(dataset=dataset["name"], split=dataset["split"], count=dataset["images"])
    return [
        _admit(workspace / row["artifact"], pictures, row["accuracy"], report["machine"]["cpu"])
        for row in report["rows"]
        if (workspace / row["artifact"]).is_file()
    ]


def _admit(path: Path, pictures: Pictures, accuracy: float, machine: str) -> Path:
    manifest, ours = Artifact.open(path).manifest, ZOO / path.name
    assert manifest  # whatever edgesqz made has one
    before = Artifact.open(ours).manifest if ours.is_file() else None
    times = before.test.times if before and before.test and before.sha256 == manifest.sha256 else 0
    test = Examined(pictures=pictures, accuracy=accuracy, times=times + 1, machine=machine)
    examined = manifest.model_copy(update={"test": test})
    for name, content in stored_form(path.read_bytes(), examined, path.name).items():
        (ZOO / name).write_bytes(content)
    return ours


if __name__ == "__main__":
    folder, report_file = map(Path, sys.argv[1:])
    for admitted in admit(folder, json.loads(report_file.read_text())):
        print(admitted.name)
