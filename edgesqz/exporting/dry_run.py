"""Determine what an export would write, without writing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgesqz.errors import EdgesqzError
from edgesqz.exporting.exporter import Exporter
from edgesqz.exporting.job import Job
from edgesqz.exporting.result import PlannedFile
from edgesqz.reading import ConversionError


def plan_files(exporter: Exporter, jobs: Sequence[Job]) -> tuple[PlannedFile, ...]:
    """Return the files that an export would write."""
    exporter.check_unopened(jobs)
    room, planned = exporter.room, list[PlannedFile]()
    for job in jobs:
        planned.append(_plan_file(exporter, job, room))
        if room is not None and planned[-1].fits:
            room -= planned[-1].exact_bytes or 0
    return tuple(planned)


def _plan_file(exporter: Exporter, job: Job, room: int | None) -> PlannedFile:
    """Convert and verify a file to get its exact size, unless its number of parameters shows that it cannot fit."""
    file = PlannedFile(exporter.file_name(job), exporter.expected_bytes(job))
    if exporter.cannot_fit([job], room):
        return replace(file, fits=False)
    try:
        exact = sum(map(len, exporter.make(job, download=False).values()))
    except ConversionError:  # which every other file would raise again
        raise
    except EdgesqzError as error:
        return replace(file, error=exporter.reason(error, job))
    return replace(file, exact_bytes=exact, fits=None if room is None else exact <= room)
