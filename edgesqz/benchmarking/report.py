"""What the bench found, as data, as JSON, and as a table for a terminal."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesqz import plotting
from edgesqz.benchmarking import parity
from edgesqz.benchmarking.budget import Budget, label, pareto_front
from edgesqz.benchmarking.parity import LayerErrors
from edgesqz.benchmarking.selection import Selection, select
from edgesqz.benchmarking.stats import SIGNIFICANCE, Interval, median_interval
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

SCHEMA = 2
MOST_SPREAD = 0.2  # of a ratio's interval; with more, the table says noise
WHOLE_WIDTH = 240  # of a terminal with room for all columns
VERDICT_WIDTH = len("accuracy,")  # a line for each limit that is missed leaves room for the names
LAYER_WIDTH = 30  # most that the names of layers take from those of files
NAME_WIDTH, NAME_HEIGHT = 190, 15  # of a file's name in the picture, in its pixels


@dataclass(frozen=True)
class Latency:
    """Percentiles of single inferences, in microseconds.

    Attributes:
        p50: the median.
        p90: nine in ten are faster.
        p99: ninety-nine in a hundred are faster.
        n: how many were timed.
        every_5th: the percentiles 0, 5, 10 and so on to 100.
        p50_interval: where the true median lies, judged by the medians of the rounds; None for fewer than six rounds.
    """

    p50: float
    p90: float
    p99: float
    n: int
    every_5th: tuple[float, ...]
    p50_interval: Interval | None = None

    @classmethod
    def of(cls, rounds: Sequence[Sequence[int]]) -> Latency:
        """Summarize durations in nanoseconds, by round; at least one in each."""
        durations = np.concatenate(rounds) / 1000
        p50, p90, p99 = (float(value) for value in np.percentile(durations, (50, 90, 99)))
        every_5th = tuple(np.percentile(durations, range(0, 101, 5)).tolist())
        interval = median_interval([float(np.median(each)) / 1000 for each in rounds])
        return cls(p50, p90, p99, len(durations), every_5th, interval)


@dataclass(frozen=True)
class Ratio:
    """How long an inference takes, in terms of another file's.

    Attributes:
        to: the other file.
        median: of the rounds' ratios; a round's is the median here by the median there.
        interval: where the true one lies; None for fewer than six rounds.
    """

    to: str
    median: float
    interval: Interval | None

    @classmethod
    def of(cls, rounds: Sequence[Sequence[int]], to: str, others: Sequence[Sequence[int]]) -> Ratio:
        """Compare durations in nanoseconds, round by round, so that a machine that drifts drifts for both."""
        ratios = [float(np.median(ours) / np.median(theirs)) for ours, theirs in zip(rounds, others, strict=True)]
        return cls(to, float(np.median(ratios)), median_interval(ratios))

    @property
    def is_own(self) -> bool:
        """Whether it is of a file to itself."""
        return self.median == 1 and self.interval in (None, (1, 1))

    @property
    def is_noise(self) -> bool:
        """Whether the interval is so wide that the ratio tells nothing: more than a fifth of the ratio."""
        if self.interval is None:
            return not self.is_own
        return self.interval[1] - self.interval[0] > MOST_SPREAD * self.median


@dataclass(frozen=True)
class Row:
    """One model file on one runtime; either ``error`` or the figures from ``accuracy`` on.

    Attributes:
        artifact: the file's name, with as many of its folders as tell it from the other files of the run.
        path: where it was found.
        sha256: of the file, in hexadecimal.
        variant: None for a file without a manifest.
        runtime: None where no runtime knows the format.
        gzipped_bytes: the file as a download or an update would carry it.
        fits_quota: whether the file alone is within the quota; None without one.
        named: whether it was asked for by name, and did not come along as an original or with its whole folder.
        missed: why it is not within the budget, a reason a limit; empty if it is, None without a budget.
        untrained: whether its weights are random; it then has no accuracy.
        no_accuracy: why this file has none where others have; None if there is nothing to say.
        correct: whether each test image got its class, in the order of the images; bool (N,). Not in JSON.
        accuracy: top-1, 0..1; None for an untrained one.
        accuracy_interval: where the true accuracy lies.
        top5: share of pictures whose class is among the five best answers, 0..1; None for fewer than six classes.
        class_accuracies: top-1 of each class, in the labels' order, 0..1; None for a class without pictures.
        confusion: pictures of each class (row) that got each answer (column), in the labels' order.
        agreement: share of pictures on which the top-1 is the original's, 0..1; None without an original.
        accuracy_drop_pp: the original's accuracy less this one's, in percentage points; None without an original.
        gained: pictures that this one has right and the original wrong; None without an original.
        lost: pictures that the original has right and this one wrong; None without an original.
        mcnemar_p: how likely chance alone makes as many of these; None without an original.
        latency_us: of one picture.
        settled: whether the rounds had come to take the same time before they counted; if not, the machine is noisy.
        overhead_us: what the clock tells of a call that does nothing; it is part of every latency.
        latency_ratio: to the baseline, or without one to the original; None without either.
        load_ms: the engine's import and the model's loading.
        first_us: the first inference.
        peak_rss_bytes: of the engine's process, up to the end of the timing; None where the system does not tell.
        arena_bytes: of the memory of a fixed size that the engine works in, as on an MCU; None if it has none.
        layer_snr_db: how far each layer is from the original's: signal-to-noise ratio in dB, None where nothing
            differs; None if layers were not compared.
        memory_bytes: that less what the process had resident before it loaded the engine; None as above.
    """

    artifact: str
    format: str
    variant: str | None
    runtime: str | None
    runtime_version: str | None
    size_bytes: int
    gzipped_bytes: int
    fits_quota: bool | None
    threads: int
    path: str = ""
    sha256: str = ""
    untrained: bool = False
    named: bool = False
    missed: tuple[str, ...] | None = None
    error: str | None = None
    no_accuracy: str | None = None
    correct: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    top5: float | None = None
    class_accuracies: tuple[float | None, ...] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    agreement: float | None = None
    accuracy_drop_pp: float | None = None
    gained: int | None = None
    lost: int | None = None
    mcnemar_p: float | None = None
    latency_us: Latency | None = None
    latency_ratio: Ratio | None = None
    settled: bool | None = None
    overhead_us: float | None = None
    load_ms: float | None = None
    first_us: float | None = None
    peak_rss_bytes: int | None = None
    memory_bytes: int | None = None
    arena_bytes: int | None = None
    layer_snr_db: LayerErrors | None = None

    @property
    def is_guessing(self) -> bool:
        """Whether the accuracy may be that of drawing one of the classes by lot: its interval reaches 1/classes."""
        if self.accuracy_interval is None or not self.class_accuracies:
            return False
        return self.accuracy_interval[0] <= 1 / len(self.class_accuracies)

    def to_dict(self) -> dict[str, Any]:
        """The row for JSON: with its figures, or with ``error`` in their place."""
        row = dataclasses.asdict(replace(self, correct=None))
        del row["correct"]
        if self.latency_ratio:
            row["latency_ratio"]["is_noise"] = self.latency_ratio.is_noise
        names = list(row)
        for name in names[names.index("error") + 1 :] if self.error else ("error",):
            del row[name]
        return row


@dataclass(frozen=True)
class Report:
    """A run of the bench.

    Attributes:
        machine: what it ran on.
        versions: of Python and of the packages that measured; a row tells its engine's.
        dataset: its name, the split, how many images of it, and the labels; None if no accuracy was measured.
        budget: what each file was held against.
        rows: a row for each file, originals before what was made from them.
        no_accuracy: why none was measured; None if it was.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    dataset: dict[str, Any] | None
    budget: Budget
    rows: tuple[Row, ...]
    no_accuracy: str | None = None

    @property
    def told_apart(self) -> tuple[Row, ...]:
        """The rows, with the version in the runtime's name where a file was run by several versions of it."""
        times = Counter((row.artifact, row.runtime) for row in self.rows)
        return tuple(
            replace(row, runtime=f"{row.runtime} {row.runtime_version or ''}".strip())
            if times[row.artifact, row.runtime] > 1
            else row
            for row in self.rows
        )

    @property
    def labels(self) -> list[str]:
        """What each row is called where rows are told apart."""
        rows = self.told_apart
        return [label(row, rows) for row in rows]

    @functools.cached_property
    def selection(self) -> Selection:
        """Which file to take."""
        return select(self.told_apart)

    def to_json(self) -> str:
        """The report as JSON text."""
        front = [label(row, self.told_apart) for row in pareto_front(self.told_apart)]
        report = {
            "schema": SCHEMA,
            "machine": self.machine,
            "versions": self.versions,
            "dataset": self.dataset,
            "no_accuracy": self.no_accuracy,
            "quota_bytes": self.budget.size_bytes,
            "budget": dataclasses.asdict(self.budget),
            "pareto_front": front,
            "selection": dataclasses.asdict(self.selection),
            "rows": [{"label": name} | row.to_dict() for name, row in zip(self.labels, self.rows, strict=True)],
        }
        return json.dumps(report, indent=2) + "\n"

    def to_csv(self) -> str:
        """The rows as CSV text, one value a cell; what is within a figure has its own column: ``latency_us.p50``.

        ``chosen`` says which file to take, ``not_chosen`` why another one is not it. The counts of each class by each
        answer are in the JSON only.
        """
        classes = self.dataset["labels"] if self.dataset else ()
        rows = []
        for row, name in zip(self.rows, self.labels, strict=True):
            choice = {"chosen": name == self.selection.chosen, "not_chosen": self.selection.reasons.get(name)}
            rows.append(dict(_flat(row.to_dict() | choice, classes)))
        names = dict.fromkeys(name for row in rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def heads(self) -> list[str]:
        """What stands above the columns of the whole table."""
        return [str(column.header).replace("\n", " ") or "•" for column in self.table(WHOLE_WIDTH).columns]

    def lines(self) -> list[list[str]]:
        """The cells of the whole table, row by row."""
        columns = self.table(WHOLE_WIDTH).columns
        return [list(line) for line in zip(*(map(str, column.cells) for column in columns), strict=True)]

    def to_markdown(self) -> str:
        """The table with all its columns, as Markdown."""
        bars = ["--:" if column.justify == "right" else "---" for column in self.table(WHOLE_WIDTH).columns]
        cells = [[cell.replace("|", "\\|") for cell in line] for line in self.lines()]
        table = [f"| {' | '.join(line)} |" for line in [self.heads(), bars, *cells]]
        return "\n".join([self.title(), "", *table, "", self.legend(), ""])

    def to_html(self) -> str:
        """The report as one page for a browser."""
        from edgesqz.benchmarking import html

        return html.page(self)

    def plot(self, path: Path) -> None:
        """Draw accuracy against size into a picture file, .png or .svg; the quota, if there is one, is a line.

        Raises:
            EdgesqzError: no row has an accuracy, matplotlib is missing, the suffix is none it knows, or the disk
                refuses.
        """
        points = [
            (str(row.runtime), row.artifact, row.size_bytes / 1000, 100 * row.accuracy)
            for row in self.told_apart
            if row.accuracy is not None and row.size_bytes
        ]
        if not points:
            raise EdgesqzError("nothing to draw: no file has an accuracy")
        figure, axes = plotting.figure(height=5)
        for runtime in sorted({point[0] for point in points}):
            _, _, sizes, accuracies = zip(*(point for point in points if point[0] == runtime), strict=True)
            axes.scatter(sizes, accuracies, label=runtime)
        if self.budget.size_bytes is not None:
            axes.axvline(self.budget.size_bytes / 1000, color="grey", linestyle="--", label="quota")
        axes.set_xscale("log")
        axes.margins(x=0.25, y=0.1)
        axes.set_xlabel("size in kB, logarithmic")
        axes.set_ylabel("top-1 on the test pictures, %")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        places = axes.transData.transform([point[2:] for point in points]).tolist()
        names = plotting.names_beside([(x, y) for x, y in places], NAME_WIDTH, NAME_HEIGHT)
        for (_, name, size, accuracy), (_, y), name_y in zip(points, places, names, strict=True):
            shift = (6, (name_y - y) * 72 / figure.dpi - 3)
            axes.annotate(name, (size, accuracy), xytext=shift, textcoords="offset points", fontsize=8)
        plotting.save(figure, path)

    def table(self, width: int = 100) -> Table:
        """The report as a table for a terminal of ``width`` columns; a narrow one gets the most important figures."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self.title()),
            caption=Text(self.legend()),
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE,
            padding=0,
        )
        rows, in_full = self.told_apart, width >= WHOLE_WIDTH
        wide_enough = [column for column in _COLUMNS if width >= column.least_width]
        shown = [column for column in wide_enough if any(str(column.cell(row)) for row in rows)]
        table.add_column(no_wrap=True)
        for column in shown:
            wraps = column.head in ("artifact", "runtime")
            # A version stands below its runtime's name, to leave room for the file's.
            fixed = _longest_word(rows) if column.head == "runtime" and not in_full else None
            table.add_column(column.head, justify=column.justify, overflow="fold", no_wrap=not wraps, width=fixed)
        limited = self.budget != Budget()
        if limited:
            table.add_column("budget", max_width=None if in_full else VERDICT_WIDTH)
        front = pareto_front(rows)
        for row in rows:
            verdict = [_verdict(row, in_full=in_full)] if limited else []
            table.add_row("•" if row in front else "", *(column.cell(row) for column in shown), *verdict)
        return table

    def class_table(self) -> Table:
        """A row a class: how much of it each file has right, and how far it falls behind its best."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        measured = [row for row in self.told_apart if row.class_accuracies]
        labels = self.dataset["labels"] if self.dataset else ()
        table = Table(title="top-1 of each class, %", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("class")
        for row in measured:
            table.add_column(Text(label(row, measured)), justify="right", overflow="fold")
        for number, name in enumerate(labels):
            cells = [_number((row.class_accuracies or ())[number], 100, 1) for row in measured]
            table.add_row(Text(name), *cells)
        return table

    def layer_table(self) -> Table:
        """A row a layer: its signal-to-noise ratio in each export, and a mark where the error first grows."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        rows = [row for row in self.told_apart if row.layer_snr_db is not None]
        compared = [(label(row, rows), row.layer_snr_db or {}) for row in rows]
        table = Table(
            title="signal to noise of each layer, dB",
            caption=Text("against the original's; <: the error first grows tenfold; exact: nothing differs"),
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE,
            padding=(0, 1, 0, 0),
        )
        longest = max((len(layer) for _, errors in compared for layer in errors), default=0)
        table.add_column("layer", overflow="fold", min_width=min(longest, LAYER_WIDTH))
        for artifact, _ in compared:
            table.add_column(Text(artifact), justify="right", overflow="fold")
        for layer in parity.in_order([errors for _, errors in compared]):
            table.add_row(Text(layer), *(_snr(layer, errors) for _, errors in compared))
        return table

    def title(self) -> str:
        """What accuracy was measured on, or why it was not."""
        if self.dataset is None:
            return f"no accuracy: {self.no_accuracy}"
        return f"{self.dataset['images']:,} test pictures of {self.dataset['name']}"

    def legend(self) -> str:
        """The machine and the engines in a line, and in another what the figures mean."""
        engines = {f"{row.runtime} {row.runtime_version}" for row in self.rows if row.runtime_version}
        threads = self.rows[0].threads
        parts = ["±: 95 % intervals", "*: more than chance"]
        if compared := {row.latency_ratio.to for row in self.rows if row.latency_ratio}:
            parts.append(f"ratio: of time to {' or '.join(sorted(compared))}")
        if limits := self.budget.told():
            parts.append(f"budget: {limits}")
        if pareto_front(self.rows):
            parts.append("•: no other file beats it")
        measured_on = f"{self.machine['cpu']}, {threads} thread{'s' * (threads > 1)}; {', '.join(sorted(engines))}"
        return f"{measured_on}\n{'; '.join(parts)}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The table with as many columns as there is room for."""
        yield self.table(options.max_width)

    def choice(self) -> list[str]:
        """The file to take, then why the others are not it, a line each."""
        found = self.selection
        others = (f"  not {name}: {reason}" for name, reason in found.reasons.items())
        return [f"chosen: {found.chosen or 'none'}; {found.note}", *others]

    def failures(self) -> list[str]:
        """A line for each row that failed: which, and why."""
        return [f"{label(row, self.rows)}: {row.error}" for row in self.told_apart if row.error]

    def misses(self) -> list[str]:
        """A line for each file that was asked for by name, was measured, and is not within the budget."""
        rows = self.told_apart
        missing = (row for row in rows if row.named and row.missed and not row.error)
        return [f"{label(row, rows)}: {'; '.join(row.missed or ())}" for row in missing]

    @property
    def named_file_failed(self) -> bool:
        """Whether a file that was asked for by name could not be measured, or none at all could be."""
        return any(row.error and row.named for row in self.rows) or all(row.error for row in self.rows)


def _number(value: float | None, factor: float, digits: int) -> str:
    """A value in the unit of its column, or nothing where there is none."""
    return "" if value is None else f"{value * factor:.{digits}f}"


def _snr(layer: str, errors: LayerErrors) -> str:
    if layer not in errors:
        return ""
    ratio = errors[layer]
    return ("exact" if ratio is None else f"{ratio:.1f}") + ("<" if layer == parity.grows_at(errors) else " ")


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


def _longest_word(rows: Sequence[Row]) -> int:
    """Of what the runtimes are called, in letters."""
    return max(len(word) for row in rows for word in ("runtime", *(row.runtime or "").split()))


def _name(row: Row) -> Text:
    from rich.text import Text

    return Text(row.artifact)


def _top1(row: Row) -> str:
    if row.error:
        return "failed"
    return "untrained" if row.untrained else _number(row.accuracy, 100, 2)


def _spread(interval: Interval | None, factor: float, digits: int) -> str:
    """Half of what an interval spans, in the unit of its column."""
    return f"±{(interval[1] - interval[0]) / 2 * factor:.{digits}f}".replace("±0.", "±.") if interval else ""


def _drop(row: Row) -> str:
    """The loss of accuracy, marked if it is more than chance."""
    sure = row.mcnemar_p is not None and row.mcnemar_p < SIGNIFICANCE
    return _number(row.accuracy_drop_pp, 1, 2) + ("*" if sure else "")


def _microseconds(time_us: float) -> str:
    return f"{time_us:.{0 if time_us >= 1000 else 1}f}"


def _verdict(row: Row, *, in_full: bool) -> str:
    """Which limits a row misses: by name, or with both figures."""
    missed = row.missed or ()
    return ("; ".join(missed) if in_full else ", ".join(reason.split()[0] for reason in missed)) or "ok"


def _ratio(row: Row) -> str:
    ratio = row.latency_ratio
    if ratio is None or ratio.is_own:
        return "1" if ratio else ""
    return "noise" if ratio.is_noise else f"{ratio.median:.2f}{_spread(ratio.interval, 1, 2)}"


def _latency(told: Callable[[Latency], str]) -> Callable[[Row], str]:
    return lambda row: told(row.latency_us) if row.latency_us else ""


_COLUMNS = (
    _Column("artifact", _name, justify="left"),
    _Column("runtime", lambda row: row.runtime or "", 100, justify="left"),
    _Column("size\nkB", lambda row: _number(row.size_bytes, 1e-3, 1)),
    _Column("gzip\nkB", lambda row: _number(row.gzipped_bytes, 1e-3, 1), WHOLE_WIDTH),
    _Column("top-1\n%", lambda row: _top1(row) + _spread(row.accuracy_interval, 100, 2)),
    _Column("top-5\n%", lambda row: _number(row.top5, 100, 2), WHOLE_WIDTH),
    _Column("drop\npp", _drop, 76),
    _Column("p", lambda row: _number(row.mcnemar_p, 1, 3), 120),
    _Column("gained", lambda row: _number(row.gained, 1, 0), WHOLE_WIDTH),
    _Column("lost", lambda row: _number(row.lost, 1, 0), WHOLE_WIDTH),
    _Column("agree\n%", lambda row: _number(row.agreement, 100, 2), 76),
    _Column("p50\nµs", _latency(lambda latency: _microseconds(latency.p50))),
    _Column("p50 ±\nµs", _latency(lambda latency: _spread(latency.p50_interval, 1, 1)), WHOLE_WIDTH),
    _Column("p90\nµs", _latency(lambda latency: _microseconds(latency.p90)), WHOLE_WIDTH),
    _Column("p99\nµs", _latency(lambda latency: _microseconds(latency.p99)), 110),
    _Column("ratio", _ratio, 90),
    _Column("clock\nµs", lambda row: _number(row.overhead_us, 1, 2), WHOLE_WIDTH),
    _Column("load\nms", lambda row: _number(row.load_ms, 1, 0), WHOLE_WIDTH),
    _Column("first\nµs", lambda row: "" if row.first_us is None else _microseconds(row.first_us), WHOLE_WIDTH),
    _Column("arena\nkB", lambda row: _number(row.arena_bytes, 1e-3, 1), 90),
    _Column("mem\nMB", lambda row: _number(row.memory_bytes, 1e-6, 0), 80),
)


def _flat(figures: dict[str, Any], classes: Sequence[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every figure by the path to it; ``classes`` are their labels."""
    for name, value in figures.items():
        match name, value:
            case "confusion", _:
                pass
            case "missed", tuple():
                yield name, "; ".join(value)
            case _, dict():
                yield from _flat(value, classes, f"{prefix}{name}.")
            case _, tuple():
                parts = {"class_accuracies": classes, "every_5th": range(0, 101, 5)}.get(name, ("low", "high"))
                yield from ((f"{prefix}{name}.{part}", each) for part, each in zip(parts, value, strict=True))
            case _:
                yield f"{prefix}{name}", value


def check_writable(path: Path) -> None:
    """Make sure that a report can be written, before hours go into it.

    Raises:
        EdgesqzError: its folder is missing or cannot be written to, or the path is a folder.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise EdgesqzError(f"cannot write {path}; name a file in a folder that exists and can be written to")


def save(text: str, path: Path) -> None:
    """Write a report's text, whole or not at all.

    Raises:
        EdgesqzError: the disk refuses.
    """
    write_file(path, text.encode())
