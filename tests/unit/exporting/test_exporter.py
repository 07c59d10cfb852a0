"""Which files an export writes if some of them cannot be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.exporting.exporter import Exporter
from edgesqz.exporting.job import requested_jobs
from edgesqz.exporting.result import RefusedFile
from edgesqz.reading import ConversionError

VARIANTS = ["fp32", "fp16", "dynamic"]


class Attempts(Exporter):
    """Exports nothing. Each variant succeeds unless it has an error."""

    _source_warning = None

    def __init__(self, errors: dict[str, EdgesqzError], tmp_path: Path) -> None:
        super().__init__(Export("m", variant=VARIANTS, workspace=tmp_path), Console(quiet=True))
        self.errors, self.tried = errors, list[str]()

    def _check(self, jobs: Any) -> None:
        """Accept all jobs."""

    def _refuse_if_too_large(self, jobs: Any) -> None:
        """Accept all jobs."""

    def file_name(self, job: Any) -> str:
        return f"m.{job.variant}"

    def _export(self, job: Any) -> Any:
        self.tried.append(job.variant)
        if error := self.errors.get(job.variant):
            raise error
        return job.variant

    def run(self) -> Any:
        return self.export_all(requested_jobs(self.plan))


def test_every_variant_is_tried(tmp_path: Path) -> None:
    attempts = Attempts({"fp32": EdgesqzError("m.fp32 was not kept: NaN"), "fp16": EdgesqzError("no")}, tmp_path)
    assert attempts.run() == (["dynamic"], [RefusedFile("m.fp32", "NaN"), RefusedFile("m.fp16", "no")])
    assert attempts.tried == VARIANTS


def test_if_no_file_is_exported_each_gets_its_reason(tmp_path: Path) -> None:
    errors = {"fp32": EdgesqzError("NaN"), "fp16": EdgesqzError("no"), "dynamic": EdgesqzError("NaN")}
    message = "^none of the 3 files could be exported: m.fp32, m.dynamic: NaN; m.fp16: no$"
    with pytest.raises(EdgesqzError, match=message):
        Attempts(errors, tmp_path).run()


def test_a_model_that_cannot_be_converted_is_tried_once(tmp_path: Path) -> None:
    attempts = Attempts({"fp32": ConversionError("m cannot be converted")}, tmp_path)
    with pytest.raises(ConversionError):
        attempts.run()
    assert attempts.tried == ["fp32"]
