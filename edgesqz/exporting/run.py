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
        artifacts, refused = ([], []) if plan.dry_run else exporter.export_all(jobs)
    workspace = exporter.workspace
    return ExportResult(
        artifacts=tuple(artifacts),
        planned=planned,
        quota_bytes=workspace.quota_bytes,
        used_bytes=workspace.used_bytes(),
        failed=() if plan.all_variants else tuple(refused),
        skipped=tuple(refused) if plan.all_variants else (),
        layer_choices=exporter.layer_choices,
    )
