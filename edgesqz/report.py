"""What the bench found, as data, as JSON, and as a table for a terminal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.workspace import format_size

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1


@dataclass(frozen=True)
class Latency:
    """Percentiles of single inferences, in microseconds.

    Attributes:
        p50: the median.
        p90: nine in ten are faster.
        p99: ninety-nine in a hundred are faster.
        n: how many were timed.
    """

    p50: float
    p90: float
    p99: float
    n: int

    @classmethod
    def of(cls, durations_ns: Sequence[int]) -> Latency:
        """Summarize durations, at least one, in nanoseconds."""
        p50, p90, p99 = (float(value) / 1000 for value in np.percentile(durations_ns, (50, 90, 99)))
        return cls(p50, p90, p99, len(durations_ns))


@dataclass(frozen=True)
class Row:
    """One model file on one runtime; either ``error`` or the figures from ``accuracy`` on.

    Attributes:
        variant: None for a file without a manifest.
        runtime: None where no runtime knows the format.
        fits_quota: whether the file alone is within the quota; None without one.
        accuracy: top-1, 0..1.
        agreement: share of pictures on which the top-1 is the original's, 0..1; None without an original.
        accuracy_drop_pp: the original's accuracy less this one's, in percentage points; None without an original.
        latency_us: of one picture.
        load_ms: the engine's import and the model's loading.
        first_us: the first inference.
        peak_rss_bytes: of the engine's process, up to the end of the timing; None where the system does not tell.
    """

    artifact: str
    format: str
    variant: str | None
    runtime: str | None
    runtime_version: str | None
    size_bytes: int
    fits_quota: bool | None
    threads: int
    error: str | None = None
    accuracy: float | None = None
    agreement: float | None = None
    accuracy_drop_pp: float | None = None
    latency_us: Latency | None = None
    load_ms: float | None = None
    first_us: float | None = None
    peak_rss_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row for JSON: with its figures, or with ``error`` in their place."""
        row = dataclasses.asdict(self)
        figures = ("accuracy", "agreement", "accuracy_drop_pp", "latency_us", "load_ms", "first_us", "peak_rss_bytes")
        for name in figures if self.error else ("error",):
            del row[name]
        return row


@dataclass(frozen=True)
class Report:
    """A run of the bench.

    Attributes:
        machine: what it ran on.
        versions: of Python and of the packages that measured; a row tells its engine's.
        dataset: its name, the split, and how many images of it.
        quota_bytes: what each file was held against; None for nothing.
        rows: a row for each file, originals before what was made from them.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    dataset: dict[str, Any]
    quota_bytes: int | None
    rows: tuple[Row, ...]

    def to_json(self) -> str:
        """The report as JSON text."""
        report = {
            "schema": SCHEMA,
            "machine": self.machine,
            "versions": self.versions,
            "dataset": self.dataset,
            "quota_bytes": self.quota_bytes,
            "rows": [row.to_dict() for row in self.rows],
        }
        return json.dumps(report, indent=2) + "\n"

    def table(self) -> Table:
        """The report as a table of at most 100 columns; errors stand below it, by ``failures()``."""
        from rich import box
        from rich.table import Table

        pictures = f"{self.dataset['images']:,} test pictures of {self.dataset['name']}"
        threads = "1 thread" if self.rows[0].threads == 1 else f"{self.rows[0].threads} threads"
        table = Table(
            title=f"{pictures}, {threads}, {self.machine['cpu']}", title_justify="left", box=box.SIMPLE, pad_edge=False
        )
        table.add_column("artifact", overflow="fold")
        table.add_column("runtime", overflow="fold")
        for name in ("size", "top-1", "drop", "agree", "p50", "p99", "peak RSS"):
            table.add_column(name, justify="right", no_wrap=True)
        if self.quota_bytes is not None:
            table.add_column(f"fits {format_size(self.quota_bytes)}")
        for row in self.rows:
            table.add_row(*_cells(row))
        return table

    def failures(self) -> list[str]:
        """A line for each row that failed: which, and why."""
        return [f"{row.artifact}: {row.error}" for row in self.rows if row.error]


def _cells(row: Row) -> list[str]:
    """A row of the table, without the last cells if there is no quota."""
    cells = [row.artifact, " ".join(filter(None, (row.runtime, row.runtime_version))), format_size(row.size_bytes)]
    if row.latency_us is None or row.accuracy is None:
        cells += ["failed", *[""] * 5]
    else:
        cells += [
            f"{row.accuracy:.2%}",
            "" if row.accuracy_drop_pp is None else f"{row.accuracy_drop_pp:.2f} pp",
            "" if row.agreement is None else f"{row.agreement:.2%}",
            _format_us(row.latency_us.p50),
            _format_us(row.latency_us.p99),
            "" if row.peak_rss_bytes is None else format_size(row.peak_rss_bytes),
        ]
    return cells if row.fits_quota is None else [*cells, "yes" if row.fits_quota else "no"]


def _format_us(microseconds: float) -> str:
    """A duration with three or more digits that count: ``68.0 µs``, ``4.31 ms``."""
    return f"{microseconds:.1f} µs" if microseconds < 1000 else f"{microseconds / 1000:.2f} ms"
