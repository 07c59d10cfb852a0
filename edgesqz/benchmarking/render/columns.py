"""The columns of a report: one list for all tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.rows import MAX_RELATIVE_WIDTH, Comparison, Evaluation, Failed, Measured, Performance, Row
from edgesqz.benchmarking.wording import describe_budget, describe_violation

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report
    from edgesqz.stats import Interval

Cell = Callable[[Entry], str]

FRONT, NOISE = "•", "noise"
NOISE_NOTE = (
    f"{NOISE}: ratio too uncertain to show (95 % interval wider than {100 * MAX_RELATIVE_WIDTH:.0f} % of the ratio, or "
    "fewer than 6 rounds)"
)
MAX_SKEW = 0.2  # largest distance of an accuracy from the center of its interval, relative to half its width
MAIN_RANK = 6  # highest rank in the first table of a page
SIZE, ACCURACY, LATENCY, MEMORY = "Size", "Accuracy", "Latency", "Startup and memory"


@dataclass(frozen=True)
class Column:
    """A column of the table of rows.

    Attributes:
        name: Heading of the column, without the unit.
        cell: Returns the text for a row, in the unit of the column. Empty if the row has no such figure.
        rank: Order in which a narrow table drops columns, highest rank first. 0 is never dropped.
        unit: Unit of the values.
        group: Group of related columns. Empty for columns that identify the row or show its verdict.
        justify: Alignment of the cells.
    """

    name: str
    cell: Cell
    rank: int
    unit: str = ""
    group: str = ""
    justify: Literal["left", "right"] = "right"

    @property
    def head(self) -> str:
        """The name with the unit, in one line."""
        return f"{self.name} {self.unit}".strip()


def columns(report: Report) -> list[Column]:
    """Return the columns that are not empty. The mark of the Pareto front is first, and the verdict last."""
    shown = [column for column in _COLUMNS if any(map(column.cell, report.entries))]
    if len({row.artifact for row in report.rows}) < len(report.rows):  # the runtime distinguishes rows of one file
        shown = [replace(column, rank=0) if column.name == "runtime" else column for column in shown]
    return [*shown, VERDICT] if report.budget.limits else shown


def notes(column: Column, report: Report) -> list[str]:
    """Return explanations of a column and of the marks in it."""
    cells = [column.cell(entry) for entry in report.entries]
    found = [f"{column.name}: {_MEANINGS[column.name]}"] if column.name in _MEANINGS else []
    if any("±" in cell for cell in cells):
        found.append("±: 95 % confidence interval")
    if any("–" in cell for cell in cells):
        found.append("(low–high): 95 % confidence interval")
    if any(cell.endswith("*") for cell in cells):
        found.append("*: significant, p < 0.05")
    if column.name == "top-1" and (alone := [entry.label for entry in report.entries if _lacks_source(entry.row)]):
        reason = "the source model is neither in the same folder nor in the zoo, or has no accuracy"
        found.append(f"no drop for {', '.join(alone)}: {reason}")
    if column.name == "ratio":
        ratios = [row.performance.latency_ratio for row in report.measured if row.performance]
        found.append(f"ratio: latency relative to {' or '.join(sorted({ratio.to for ratio in ratios if ratio}))}")
    if NOISE in cells:
        found.append(NOISE_NOTE)
    if column.name in ("p90", "p99"):
        batches = {row.performance.latency_us.batch for row in report.measured if row.performance} - {1}
        found += [f"no p90 or p99: not measurable, because batches of {batch} were timed" for batch in sorted(batches)]
    if column is VERDICT:
        found.append(f"budget: {describe_budget(report.budget)}")
    return found


def _lacks_source(row: Row) -> bool:
    """Return whether a file that edgesqz exported, and thus has a variant, has an accuracy but no comparison."""
    return isinstance(row, Measured) and bool(row.variant and row.evaluation and not row.comparison)


def measured_on(report: Report) -> str:
    """Return the machine and the engines in one line."""
    engines = {f"{row.runtime} {row.runtime_version}" for row in report.rows if row.runtime_version}
    threads = report.plan.threads
    return f"{report.machine.cpu}, {threads} thread{'s' * (threads > 1)}; {', '.join(sorted(engines))}"


def legend(report: Report) -> str:
    """Return explanations of the marks in all columns."""
    return "; ".join(dict.fromkeys(note for column in columns(report) for note in notes(column, report)))


def number(value: float | None, factor: float, digits: int) -> str:
    """Format a value in the unit of its column. Empty for None."""
    return "" if value is None else f"{value * factor:.{digits}f}"


def _measured(text: Callable[[Measured], str]) -> Cell:
    """Create a cell function that returns an empty cell for a file that could not be measured."""
    return lambda entry: text(entry.row) if isinstance(entry.row, Measured) else ""


def _evaluation(text: Callable[[Evaluation], str]) -> Cell:
    return _measured(lambda row: text(row.evaluation) if row.evaluation else "")


def _comparison(text: Callable[[Comparison], str]) -> Cell:
    return _measured(lambda row: text(row.comparison) if row.comparison else "")


def _performance(text: Callable[[Performance], str]) -> Cell:
    return _measured(lambda row: text(row.performance) if row.performance else "")


def _top1(entry: Entry) -> str:
    row = entry.row
    if isinstance(row, Failed):
        return "failed"
    if row.evaluation is None:
        return "untrained" if row.untrained else ""
    return number(row.evaluation.accuracy, 100, 2) + _accuracy_bounds(row.evaluation)


def _accuracy_bounds(evaluation: Evaluation) -> str:
    """Format the interval of an accuracy: both bounds if the accuracy is far off center, as with few images."""
    low, high = evaluation.accuracy_interval
    if abs((low + high) / 2 - evaluation.accuracy) <= MAX_SKEW * (high - low) / 2:
        return _half_width((low, high), 100, 2)
    return f" ({100 * low:.1f}–{100 * high:.1f})".replace("(0.0–", "(0–").replace("–100.0)", "–100)")


def _half_width(interval: Interval | None, factor: float, digits: int) -> str:
    """Format half the width of an interval in the unit of its column, or its upper limit if it would round to 0."""
    if interval is None:
        return ""
    half = f"{(interval[1] - interval[0]) / 2 * factor:.{digits}f}"
    return f"±{half.removeprefix('0')}" if float(half) else f"±<{10**-digits:.{digits}f}".replace("<0.", "<.")


def _drop(comparison: Comparison) -> str:
    return number(comparison.accuracy_drop_pp, 1, 2) + ("*" if comparison.is_significant else "")


def _microseconds(time_us: float | None) -> str:
    return "" if time_us is None else f"{time_us:.{0 if time_us >= 1000 else 1}f}"


def _ratio(performance: Performance) -> str:
    ratio = performance.latency_ratio
    if ratio is None or ratio.is_own:
        return "1" if ratio else ""
    return NOISE if ratio.is_noise else f"{ratio.median:.2f}{_half_width(ratio.interval, 1, 2)}"


def _verdict(entry: Entry) -> str:
    if isinstance(entry.row, Failed):
        return "failed"
    return "; ".join(map(describe_violation, entry.violations)) or "ok"


_COLUMNS = (
    Column(FRONT, lambda entry: FRONT if entry.on_front else "", 0, justify="left"),
    Column("artifact", lambda entry: entry.row.artifact, 0, justify="left"),
    Column("runtime", lambda entry: entry.runtime, 3, justify="left"),
    Column("size", lambda entry: number(entry.row.size_bytes, 1e-3, 1), 0, "kB", SIZE),
    Column("gzip", lambda entry: number(entry.row.gzipped_bytes, 1e-3, 1), 9, "kB", SIZE),
    Column("top-1", _top1, 0, "%", ACCURACY),
    Column("top-5", _evaluation(lambda found: number(found.top5, 100, 2)), 9, "%", ACCURACY),
    Column("drop", _comparison(_drop), 0, "pp", ACCURACY),
    Column("p", _comparison(lambda found: number(found.mcnemar_p, 1, 3)), 8, group=ACCURACY),
    Column("gained", _comparison(lambda found: number(found.gained, 1, 0)), 10, group=ACCURACY),
    Column("lost", _comparison(lambda found: number(found.lost, 1, 0)), 10, group=ACCURACY),
    Column("agree", _comparison(lambda found: number(found.agreement, 100, 2)), 2, "%", ACCURACY),
    Column("p50", _performance(lambda found: _microseconds(found.latency_us.p50)), 0, "µs", LATENCY),
    Column("p50 ±", _performance(lambda found: _half_width(found.latency_us.p50_interval, 1, 1)), 9, "µs", LATENCY),
    Column("p90", _performance(lambda found: _microseconds(found.latency_us.p90)), 9, "µs", LATENCY),
    Column("p99", _performance(lambda found: _microseconds(found.latency_us.p99)), 7, "µs", LATENCY),
    Column("ratio", _performance(_ratio), 4, group=LATENCY),
    Column("clock", _performance(lambda found: number(found.overhead_us, 1, 2)), 11, "µs", LATENCY),
    Column("load", _performance(lambda found: number(found.load_ms, 1, 0)), 10, "ms", MEMORY),
    Column("first", _performance(lambda found: _microseconds(found.first_us)), 10, "µs", MEMORY),
    Column("arena", _measured(lambda row: number(row.arena_bytes, 1e-3, 1)), 6, "kB", MEMORY),
    Column("mem", _performance(lambda found: number(found.memory_bytes, 1e-6, 0)), 5, "MB", MEMORY),
)
_MEANINGS = {
    FRONT: "on the Pareto front of size, latency and accuracy",
    "gzip": "size after gzip",
    "drop": "top-1 lost relative to the source model",
    "p": "p-value of the drop in McNemar's test",
    "gained": "images that only this file classifies correctly",
    "lost": "images that only the source model classifies correctly",
    "agree": "same prediction as the source model",
    "p50": "median latency",
    "p90": "90th percentile of the latency",
    "p99": "99th percentile of the latency",
    "clock": "time to read the clock, included in every latency",
    "load": "time to load the engine and the model",
    "first": "latency of the first inference",
    "arena": "working memory of the interpreter",
    "mem": "peak memory of engine and model",
}
VERDICT = Column("budget", _verdict, 0, justify="left")
