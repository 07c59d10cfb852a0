"""Run an export: write the requested files, or only plan them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgesqz.exporting.dry_run import plan_files
from edgesqz.exporting.exporter import Exporter
from edgesqz.exporting.job import requested_jobs
from edgesqz.exporting.plan import Export
from edgesqz.exporting.result import ExportResult

if TYPE_CHECKING:
    from rich.console import Console


def run(plan: Export, console: Console) -> ExportResult:
    """Export the files that a plan requests. See ``Export.run``."""
    jobs = requested_jobs(plan)
    with contextlib.closing(Exporter(plan, console)) as exporter:
        planned = plan_files(exporter, jobs) if plan.dry_run else ()
        artifacts = () if plan.dry_run else exporter.export_all(jobs)
    workspace = exporter.workspace
    return ExportResult(artifacts, planned, workspace.quota_bytes, workspace.used_bytes(), exporter.layer_choices)
