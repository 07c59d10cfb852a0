"""What the bench found, as data, as JSON, and as a table for a terminal."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgesqz import plotting
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import format_size, replace_file

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

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
        untrained: whether its weights are random; it then has no accuracy.
        accuracy: top-1, 0..1; None for an untrained one.
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
    untrained: bool = False
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
        dataset: its name, the split, and how many images of it; None if no accuracy was measured.
        quota_bytes: what each file was held against; None for nothing.
        rows: a row for each file, originals before what was made from them.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    dataset: dict[str, Any] | None
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

    def plot(self, path: Path) -> None:
        """Draw accuracy against size into a picture file, .png or .svg; the quota, if there is one, is a line.

        Raises:
            EdgesqzError: no row has an accuracy, matplotlib is missing, the suffix is none it knows, or the disk
                refuses.
        """
        points = [
            (str(row.runtime), Path(row.artifact).name, row.size_bytes / 1000, 100 * row.accuracy)
            for row in self.rows
            if row.accuracy is not None and row.size_bytes
        ]
        if not points:
            raise EdgesqzError("nothing to draw: no file has an accuracy")
        figure, axes = plotting.figure(height=5)
        for runtime in sorted({point[0] for point in points}):
            _, _, sizes, accuracies = zip(*(point for point in points if point[0] == runtime), strict=True)
            axes.scatter(sizes, accuracies, label=runtime)
        for _, name, size, accuracy in points:
            axes.annotate(name, (size, accuracy), xytext=(6, 4), textcoords="offset points", fontsize=8)
        if self.quota_bytes is not None:
            axes.axvline(self.quota_bytes / 1000, color="grey", linestyle="--", label="quota")
        axes.set_xscale("log")
        axes.margins(x=0.25, y=0.1)
        axes.set_xlabel("size in kB, logarithmic")
        axes.set_ylabel("top-1 on the test pictures, %")
        axes.legend(frameon=False, fontsize=8)
        plotting.save(figure, path)

    def table(self, width: int = 100) -> Table:
        """The report as a table for a terminal of ``width`` columns; a narrow one gets the most important figures."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        engines = {f"{row.runtime} {row.runtime_version}" for row in self.rows if row.runtime}
        threads, dataset = self.rows[0].threads, self.dataset
        table = Table(
            title=Text(f"{dataset['images']:,} test pictures of {dataset['name']}" if dataset else "no accuracy"),
            caption=Text(f"{self.machine['cpu']}, {threads} thread{'s' * (threads > 1)}; {', '.join(sorted(engines))}"),
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE,
            padding=0,
        )
        shown = [column for column in _COLUMNS if width >= column.least_width]
        for column in shown:
            table.add_column(column.head, justify=column.justify, overflow="fold", no_wrap=column.head != "artifact")
        if self.quota_bytes is not None:
            table.add_column(f"fits\n{format_size(self.quota_bytes)}", justify="right", no_wrap=True)
        for row in self.rows:
            fits = [] if row.fits_quota is None else ["yes" if row.fits_quota else "no"]
            table.add_row(*(column.cell(row) for column in shown), *fits)
        return table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The table with as many columns as there is room for."""
        yield self.table(options.max_width)

    def failures(self) -> list[str]:
        """A line for each row that failed: which, and why."""
        return [f"{row.artifact}: {row.error}" for row in self.rows if row.error]


def _number(value: float | None, factor: float, digits: int) -> str:
    """A value in the unit of its column, or nothing where there is none."""
    return "" if value is None else f"{value * factor:.{digits}f}"


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        least_width: of a terminal in which it is shown.
    """

    head: str
    cell: Callable[[Row], str | Text]
    least_width: int = 0
    justify: Literal["left", "right"] = "right"


def _name(row: Row) -> Text:
    from rich.text import Text

    return Text(row.artifact)


def _top1(row: Row) -> str:
    if row.error:
        return "failed"
    return "untrained" if row.untrained else _number(row.accuracy, 100, 2)


_COLUMNS = (
    _Column("artifact", _name, justify="left"),
    _Column("runtime", lambda row: row.runtime or "", 100, justify="left"),
    _Column("size\nkB", lambda row: _number(row.size_bytes, 1e-3, 1)),
    _Column("top-1\n%", _top1),
    _Column("drop\npp", lambda row: _number(row.accuracy_drop_pp, 1, 2), 76),
    _Column("agree\n%", lambda row: _number(row.agreement, 100, 2), 76),
    _Column("p50\nµs", lambda row: _number(row.latency_us.p50 if row.latency_us else None, 1, 1)),
    _Column("p99\nµs", lambda row: _number(row.latency_us.p99 if row.latency_us else None, 1, 1), 100),
    _Column("RSS\nMB", lambda row: _number(row.peak_rss_bytes, 1e-6, 0), 80),
)


def check_writable(path: Path) -> None:
    """Make sure that a report can be written, before hours go into it.

    Raises:
        EdgesqzError: its folder is missing or cannot be written to, or the path is a folder.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise EdgesqzError(f"cannot write {path}; name a file in a folder that exists and can be written to")


def save(report: Report, path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Raises:
        EdgesqzError: the disk refuses.
    """
    replace_file(path, report.to_json().encode())
