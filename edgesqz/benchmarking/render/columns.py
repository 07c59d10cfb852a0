"""The columns of a report, in one list that feeds every renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgesqz.benchmarking.budget import Budget, pareto_front
from edgesqz.stats import SIGNIFICANCE

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Latency, Report, Row
    from edgesqz.stats import Interval

FRONT = "•"
MAIN_RANK = 6  # of the columns that are shown where all would be too many
SIZE, ACCURACY, LATENCY, MEMORY = "Size", "Accuracy", "Latency", "Start and memory"


@dataclass(frozen=True)
class Column:
    """A column of the table of rows.

    Attributes:
        cell: the text for a row, in the column's unit; empty where the row has no such figure.
        rank: how soon a narrow table leaves it out; 0 for never, 1 for last.
        group: of figures that belong together; empty for what says which row it is, and how it is judged.
    """

    name: str
    cell: Callable[[Row], str]
    rank: int
    unit: str = ""
    group: str = ""
    justify: Literal["left", "right"] = "right"

    @property
    def head(self) -> str:
        """The name with the unit, in one line."""
        return f"{self.name} {self.unit}".strip()


def columns(report: Report) -> list[Column]:
    """The columns that have something to show, the mark of the Pareto front first and the verdict last."""
    rows = report.told_apart
    front = pareto_front(rows)
    mark = Column(FRONT, lambda row: FRONT if row in front else "", 0, justify="left")
    shown = [column for column in (mark, *_FIGURES) if any(column.cell(row) for row in rows)]
    if len({row.artifact for row in rows}) < len(rows):  # the runtime tells rows of one file apart
        shown = [replace(column, rank=0) if column.name == "runtime" else column for column in shown]
    return [*shown, VERDICT] if report.budget != Budget() else shown


def notes(column: Column, report: Report) -> list[str]:
    """What the marks among a column's cells mean."""
    cells = [column.cell(row) for row in report.told_apart]
    found = []
    if column.name == FRONT:
        found.append(f"{FRONT}: no other file beats it")
    if any("±" in cell for cell in cells):
        found.append("±: 95 % intervals")
    if any(cell.endswith("*") for cell in cells):
        found.append("*: more than chance")
    if column.name == "ratio":
        compared = {row.latency_ratio.to for row in report.rows if row.latency_ratio}
        found.append(f"ratio: of time to {' or '.join(sorted(compared))}")
    if column is VERDICT:
        found.append(f"budget: {report.budget.told()}")
    return found


def measured_on(report: Report) -> str:
    """The machine and the engines."""
    engines = {f"{row.runtime} {row.runtime_version}" for row in report.rows if row.runtime_version}
    threads = report.rows[0].threads
    return f"{report.machine.cpu}, {threads} thread{'s' * (threads > 1)}; {', '.join(sorted(engines))}"


def legend(report: Report) -> list[str]:
    """The machine and the engines, what the marks in all columns mean, and what to beware of."""
    found = dict.fromkeys(note for column in columns(report) for note in notes(column, report))
    return [measured_on(report), "; ".join(found), *report.warnings()]


def number(value: float | None, factor: float, digits: int) -> str:
    """A value in the unit of its column, or nothing where there is none."""
    return "" if value is None else f"{value * factor:.{digits}f}"


def _top1(row: Row) -> str:
    if row.error:
        return "failed"
    return "untrained" if row.untrained else number(row.accuracy, 100, 2) + _spread(row.accuracy_interval, 100, 2)


def _spread(interval: Interval | None, factor: float, digits: int) -> str:
    """Half of what an interval spans, in the unit of its column."""
    return f"±{(interval[1] - interval[0]) / 2 * factor:.{digits}f}".replace("±0.", "±.") if interval else ""


def _drop(row: Row) -> str:
    """The loss of accuracy, marked if it is more than chance."""
    sure = row.mcnemar_p is not None and row.mcnemar_p < SIGNIFICANCE
    return number(row.accuracy_drop_pp, 1, 2) + ("*" if sure else "")


def _microseconds(time_us: float) -> str:
    return f"{time_us:.{0 if time_us >= 1000 else 1}f}"


def _ratio(row: Row) -> str:
    ratio = row.latency_ratio
    if ratio is None or ratio.is_own:
        return "1" if ratio else ""
    return "noise" if ratio.is_noise else f"{ratio.median:.2f}{_spread(ratio.interval, 1, 2)}"


def _latency(told: Callable[[Latency], str]) -> Callable[[Row], str]:
    return lambda row: told(row.latency_us) if row.latency_us else ""


_FIGURES = (
    Column("artifact", lambda row: row.artifact, 0, justify="left"),
    Column("runtime", lambda row: row.runtime or "", 3, justify="left"),
    Column("size", lambda row: number(row.size_bytes, 1e-3, 1), 0, "kB", SIZE),
    Column("gzip", lambda row: number(row.gzipped_bytes, 1e-3, 1), 9, "kB", SIZE),
    Column("top-1", _top1, 0, "%", ACCURACY),
    Column("top-5", lambda row: number(row.top5, 100, 2), 9, "%", ACCURACY),
    Column("drop", _drop, 0, "pp", ACCURACY),
    Column("p", lambda row: number(row.mcnemar_p, 1, 3), 8, group=ACCURACY),
    Column("gained", lambda row: number(row.gained, 1, 0), 10, group=ACCURACY),
    Column("lost", lambda row: number(row.lost, 1, 0), 10, group=ACCURACY),
    Column("agree", lambda row: number(row.agreement, 100, 2), 2, "%", ACCURACY),
    Column("p50", _latency(lambda latency: _microseconds(latency.p50)), 0, "µs", LATENCY),
    Column("p50 ±", _latency(lambda latency: _spread(latency.p50_interval, 1, 1)), 9, "µs", LATENCY),
    Column("p90", _latency(lambda latency: _microseconds(latency.p90)), 9, "µs", LATENCY),
    Column("p99", _latency(lambda latency: _microseconds(latency.p99)), 7, "µs", LATENCY),
    Column("ratio", _ratio, 4, group=LATENCY),
    Column("clock", lambda row: number(row.overhead_us, 1, 2), 11, "µs", LATENCY),
    Column("load", lambda row: number(row.load_ms, 1, 0), 10, "ms", MEMORY),
    Column("first", lambda row: "" if row.first_us is None else _microseconds(row.first_us), 10, "µs", MEMORY),
    Column("arena", lambda row: number(row.arena_bytes, 1e-3, 1), 6, "kB", MEMORY),
    Column("mem", lambda row: number(row.memory_bytes, 1e-6, 0), 5, "MB", MEMORY),
)
VERDICT = Column("budget", lambda row: "; ".join(row.missed or ()) or "ok", 0, justify="left")
