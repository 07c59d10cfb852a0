"""Run an export: decide which files to make, and make them or only plan them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgesqz import plugins
from edgesqz.errors import EdgesqzError
from edgesqz.exporting.exporter import SURELY, Exporter, Job
from edgesqz.exporting.plan import Export
from edgesqz.exporting.result import ExportResult, PlannedFile

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_FORMAT, DEFAULT_VARIANT = "tflite", "fp32"


def run(plan: Export, console: Console) -> ExportResult:
    """Make what an export asks for; see ``Export.run``."""
    jobs = _jobs(plan)
    exporter = Exporter(plan, console)
    planned = _plan_files(exporter, jobs) if plan.dry_run else ()
    artifacts = () if plan.dry_run else exporter.export_all(jobs)
    return ExportResult(artifacts, planned, exporter.workspace.quota_bytes, exporter.workspace.used_bytes())


def _jobs(plan: Export) -> list[Job]:
    """The files to make; of all variants the most valuable first.

    Raises:
        EdgesqzError: an unknown format or variant.
    """
    if not plan.all_variants:
        formats, variants = plan.formats or (DEFAULT_FORMAT,), plan.variants or (DEFAULT_VARIANT,)
        return [Job.checked(format, variant) for format in formats for variant in variants]
    formats = plan.formats or tuple(dict.fromkeys([DEFAULT_FORMAT, *plugins.converters()]))
    ranked = [[Job.checked(format, variant) for variant in plugins.converter(format).VARIANTS] for format in formats]
    return [job for rank in itertools.zip_longest(*ranked) for job in rank if job]


def _plan_files(exporter: Exporter, jobs: Sequence[Job]) -> tuple[PlannedFile, ...]:
    """What an export would write, file by file, as long as there is room."""
    room, planned = exporter.room, list[PlannedFile]()
    for job in jobs:
        planned.append(_plan_file(exporter, job, room))
        if room is not None and planned[-1].fits:
            room -= planned[-1].exact_bytes or 0
    return tuple(planned)


def _plan_file(exporter: Exporter, job: Job, room: int | None) -> PlannedFile:
    """What an export would write of one variant.

    A file that could fit is converted and verified, for its exact size; one that cannot is judged by its number of
    parameters.
    """
    file = PlannedFile(exporter.file_name(job), exporter.expected_bytes(job))
    if room is not None and SURELY * file.expected_bytes > room:
        return replace(file, fits=False)
    try:
        exact = sum(map(len, exporter.make(job, download=False).values()))
    except EdgesqzError as error:
        return replace(file, error=str(error).removeprefix(f"{file.file_name} ").removeprefix(f"{file.file_name}: "))
    return replace(file, exact_bytes=exact, fits=None if room is None else exact <= room)
