"""What the bench found, as data, JSON and CSV; how it is shown is in ``render/``."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.benchmarking.budget import Budget, label, pareto_front
from edgesqz.benchmarking.layer_error import LayerErrors
from edgesqz.benchmarking.selection import Selection, select
from edgesqz.engine import saturation
from edgesqz.errors import EdgesqzError
from edgesqz.machine import Machine
from edgesqz.stats import Interval, median_interval
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from edgesqz.tables import Table

SCHEMA = 2
MOST_SPREAD = 0.2  # of a ratio's interval; with more, the table says noise


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
        flips: the contact sheet of the images predicted differently from the source model; None without one.
        sha256: of the file, in hexadecimal.
        variant: None for a file without a manifest.
        runtime: None where no runtime knows the format.
        gzipped_bytes: the file as a download or an update would carry it; None if it cannot be read.
        named: whether it was asked for by name, and did not come along as a source model or with its whole folder.
        missed: why it is not within the budget, a reason a limit; empty if it is, None without a budget.
        untrained: whether its weights are random; it then has no accuracy.
        no_accuracy: why this file has none where others have; None if there is nothing to say.
        correct: whether each test image got its class, in the order of the images; bool (N,). Not in JSON.
        accuracy: top-1, 0..1; None for an untrained one.
        accuracy_interval: where the true accuracy lies.
        top5: share of images whose class is among the five best answers, 0..1; None for fewer than six classes.
        class_accuracies: top-1 of each class, in the labels' order, 0..1; None for a class without images.
        confusion: images of each class (row) that got each answer (column), in the labels' order.
        agreement: share of images on which the top-1 is the source model's, 0..1; None without a source model.
        accuracy_drop_pp: the source model's accuracy minus this one's, in percentage points; None without one.
        gained: images that this one has right and the source model wrong; None without a source model.
        lost: images that the source model has right and this one wrong; None without a source model.
        mcnemar_p: how likely chance alone makes as many of these; None without a source model.
        latency_us: of one image.
        stable: whether the rounds had come to take the same time before they counted; if not, the machine is noisy.
        overhead_us: what the clock tells of a call that does nothing; it is part of every latency.
        latency_ratio: to the baseline, or without one to the source model; None without either.
        load_ms: the engine's import and the model's loading.
        first_us: the first inference.
        peak_rss_bytes: of the engine's process, up to the end of the timing; None where the system does not tell.
        arena_bytes: of the memory of a fixed size that the engine works in, as on an MCU; None if it has none.
        layer_sqnr_db: how far each layer is from the source model's: signal-to-noise ratio in dB, None where nothing
            differs; None if layers were not compared.
        may_saturate: whether its int8 weights may saturate on the processor it ran on, which makes its accuracy there
            lower than elsewhere; see ``edgesqz.engine.saturation``.
        memory_bytes: that less what the process had resident before it loaded the engine; None as above.
    """

    artifact: str
    format: str
    variant: str | None
    runtime: str | None
    runtime_version: str | None
    size_bytes: int
    gzipped_bytes: int | None
    threads: int
    path: str = ""
    sha256: str = ""
    flips: str | None = None
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
    stable: bool | None = None
    overhead_us: float | None = None
    load_ms: float | None = None
    first_us: float | None = None
    peak_rss_bytes: int | None = None
    memory_bytes: int | None = None
    arena_bytes: int | None = None
    layer_sqnr_db: LayerErrors | None = None
    may_saturate: bool = False

    @property
    def within_budget(self) -> bool | None:
        """Whether it misses no limit; None without a budget."""
        return None if self.missed is None else not self.missed

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
        return row | {"within_budget": self.within_budget}


@dataclass(frozen=True)
class Report:
    """A run of the bench.

    Attributes:
        machine: what it ran on.
        versions: of Python and of the packages that measured; a row tells its engine's.
        dataset: its name, the split, how many images of it, and the labels; None if no accuracy was measured.
        budget: what each file was held against.
        rows: a row for each file, source models before what was made from them.
        no_accuracy: why none was measured; None if it was.
        created: when it was made, ISO 8601.
        command: the command line that made it; None if Python did.
    """

    machine: Machine
    versions: dict[str, str]
    dataset: dict[str, Any] | None
    budget: Budget
    rows: tuple[Row, ...]
    no_accuracy: str | None = None
    created: str = ""
    command: str | None = None

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
            "created": self.created,
            "command": self.command,
            "machine": dataclasses.asdict(self.machine),
            "versions": self.versions,
            "dataset": self.dataset,
            "no_accuracy": self.no_accuracy,
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

    def to_markdown(self) -> str:
        """The table with all its columns, as Markdown."""
        from edgesqz.benchmarking.render import markdown

        return markdown.text(self)

    def to_html(self, folder: Path | None = None) -> str:
        """The report as one page for a browser; ``folder`` is where it will lie, for links to the contact sheets."""
        from edgesqz.benchmarking.render import html

        return html.page(self, folder)

    def plot(self, path: Path) -> None:
        """Draw accuracy against size into an image file, .png or .svg; the size limit, if there is one, is a line.

        Raises:
            EdgesqzError: no row has an accuracy, matplotlib is missing, the suffix is none it knows, or the disk
                refuses.
        """
        from edgesqz.benchmarking.render import plot

        plot.draw(self, path)

    def table(self) -> Table:
        """The report as a table for a terminal; a narrow one gets the most important figures."""
        from edgesqz.benchmarking.render import terminal

        return terminal.table(self)

    def class_table(self) -> Table:
        """A row a class: how much of it each file has right."""
        from edgesqz.benchmarking.render import terminal

        return terminal.class_table(self)

    def layer_table(self) -> Table:
        """A row a layer: its signal-to-noise ratio in each export, and a mark where the error first grows."""
        from edgesqz.benchmarking.render import terminal

        return terminal.layer_table(self)

    def title(self) -> str:
        """What accuracy was measured on, or why it was not."""
        if self.dataset is None:
            return f"no accuracy: {self.no_accuracy}"
        return f"{self.dataset['images']:,} test images of {self.dataset['name']}"

    def choice(self) -> list[str]:
        """The file to take, then why the others are not it, a line each."""
        found = self.selection
        others = (f"  not {name}: {reason}" for name, reason in found.reasons.items())
        return [f"chosen: {found.chosen or 'none'}; {found.note}", *others]

    def failures(self) -> list[str]:
        """A line for each row that failed: which, and why."""
        return [f"{label(row, self.rows)}: {row.error}" for row in self.told_apart if row.error]

    def warnings(self) -> list[str]:
        """A line for each row whose figures here are not those elsewhere: which, and why."""
        rows = self.told_apart
        told = f"{saturation.WARNING}, such as this one; quantize with 7-bit weights (reduce_range=True)"
        return [f"{label(row, rows)}: {told}" for row in rows if row.may_saturate]

    def without_accuracy(self) -> list[str]:
        """A line for each row that has no accuracy where others may: which, and why."""
        return [
            f"{name}: {row.no_accuracy}" for name, row in zip(self.labels, self.rows, strict=True) if row.no_accuracy
        ]

    def misses(self) -> list[str]:
        """A line for each file that was asked for by name, was measured, and is not within the budget."""
        rows = self.told_apart
        missing = (row for row in rows if row.named and row.missed and not row.error)
        return [f"{label(row, rows)}: {'; '.join(row.missed or ())}" for row in missing]

    @property
    def named_file_failed(self) -> bool:
        """Whether a file that was asked for by name could not be measured, or none at all could be."""
        return any(row.error and row.named for row in self.rows) or all(row.error for row in self.rows)


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
