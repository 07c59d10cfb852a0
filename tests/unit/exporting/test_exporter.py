"""Which files an export writes if some of them cannot be exported, and what it refuses before it opens a model."""

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
from tests import fakes

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


@pytest.mark.parametrize("dry_run", [False, True])
def test_patterns_are_checked_before_the_model_is_opened(dry_run: bool, tmp_path: Path) -> None:
    plan = Export("squeezenet-nano", variant="int4", keep_int8="fire99_*", dry_run=dry_run, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"^keep_int8: no layer matches 'fire99_\*'; the layers are stem, fire11_sq"):
        plan.run(Console(quiet=True))
    plan = Export("alexnet", variant="int8", keep_float="norm*", untrained=True, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="^keep_float: no layer matches 'norm.'; the layers are conv1, "):
        plan.run(Console(quiet=True))


@pytest.mark.parametrize("dry_run", [False, True])
def test_exports_of_another_model_are_kept_before_the_model_is_opened(dry_run: bool, tmp_path: Path) -> None:
    fakes.write(tmp_path / "squeezenet.fp32.tflite", fakes.content(), source="other/squeezenet.onnx", source_sha256="1")
    with pytest.raises(EdgesqzError, match=r"was exported from .*other/squeezenet\.onnx, not from the zoo; replace"):
        Export("squeezenet", dry_run=dry_run, workspace=tmp_path).run(Console(quiet=True))
