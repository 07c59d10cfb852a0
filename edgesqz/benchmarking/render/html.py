"""A report as a single HTML page without scripts or external resources."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.render.columns import MAIN_RANK, VERDICT, Column, columns, legend, measured_on, number
from edgesqz.benchmarking.render.labels import Box, place
from edgesqz.benchmarking.rows import Evaluation, Measured
from edgesqz.benchmarking.wording import describe_budget, format_share
from edgesqz.engine import layer_error
from edgesqz.engine.layer_error import LayerErrors

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report
    from edgesqz.stats import Interval

WIDTH, HEIGHT = 1100, 380  # of a chart, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 16, 48  # margins
LETTER, LINE = 6.7, 16  # width of a letter and height of a line in 11 px monospace
MAX_NAME = 100  # characters; longer names are shortened in the middle
HEIGHT_PER_FILE = 14
STRIP = 44  # height of one file in the latency chart
TICK_WIDTH = 48  # space for a number below an axis

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its position and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Name:
    """The name of a point in a chart.

    Attributes:
        text: The name.
        box: Area that the name covers.
        leader: End of the line from the point to the name, or None if the name is next to its point.
    """

    text: str
    box: Box
    leader: tuple[float, float] | None

    @property
    def baseline(self) -> float:
        """Vertical position of the text's baseline."""
        return self.box.bottom - 4


@dataclass(frozen=True)
class Dot:
    """A file in a scatter chart.

    Attributes:
        x: Horizontal position.
        y: Vertical position.
        name: The name beside the dot.
        tip: Tooltip of the dot.
        on_front: Whether the file is on the Pareto front.
        x_whisker: Ends of the horizontal 95 % confidence interval, or None if there is none.
        y_whisker: Ends of the vertical 95 % confidence interval.
    """

    x: float
    y: float
    name: Name
    tip: str
    on_front: bool
    x_whisker: Interval | None
    y_whisker: Interval


@dataclass(frozen=True)
class Scatter:
    """A chart of accuracy against a cost, with a logarithmic axis for the cost.

    Attributes:
        title: Title of the chart.
        x_label: Label of the horizontal axis.
        height: Height of the chart.
        x_ticks: Marks on the horizontal axis.
        y_ticks: Marks on the vertical axis.
        dots: The files.
        limit: Horizontal position of the limit, or None if there is none.
    """

    title: str
    x_label: str
    height: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    dots: list[Dot]
    limit: float | None


@dataclass(frozen=True)
class Strip:
    """The distribution of a file's latencies on the common logarithmic axis.

    Attributes:
        name: Name of the file.
        tip: Tooltip of the strip.
        y: Vertical position of the top.
        most: Ends of the range from the 5th to the 95th percentile.
        half: Ends of the range from the 25th to the 75th percentile.
        median: Position of the median.
        whisker: Ends of the median's 95 % confidence interval, or None if there is none.
    """

    name: str
    tip: str
    y: float
    most: Interval
    half: Interval
    median: float
    whisker: Interval | None


@dataclass(frozen=True)
class Point:
    """A layer of a file, with its tooltip."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Curve:
    """The SQNR of a file from layer to layer."""

    name: Name
    points: list[Point]


@dataclass(frozen=True)
class _File:
    """A file in a scatter chart before it is placed: its cost with a 95 % confidence interval, and its accuracy."""

    entry: Entry
    cost: float
    cost_interval: Interval | None
    evaluation: Evaluation


def page(report: Report, folder: Path | None = None) -> str:
    """Return a report as HTML. File names and labels are escaped.

    Args:
        report: The report to show.
        folder: Folder of the page, for links to the contact sheets, or None for no links.
    """
    import jinja2

    source = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    strips, ticks = _strips(report.entries)
    curves, decibel_ticks, curves_height = _curves(report.entries)
    shown = columns(report)
    measured = [(entry, entry.row) for entry in report.entries if isinstance(entry.row, Measured)]
    return template.render(
        report=report,
        words=report.command.split(" "),
        budget=describe_budget(report.budget),
        measured_on=measured_on(report),
        machine=[f"{name}: {value}" for name, value in asdict(report.machine).items() if value is not None],
        main=[column for column in shown if column.rank <= MAIN_RANK],
        groups=_groups(shown),
        legend=legend(report),
        scatters=_scatters(report),
        strips=strips,
        strip_ticks=ticks,
        curves=curves,
        curves_height=curves_height,
        decibel_ticks=decibel_ticks,
        evaluated=[(entry.label, row.evaluation) for entry, row in measured if row.evaluation],
        flips=[(entry.label, _link(row.flips, folder)) for entry, row in measured if row.flips and folder],
        number=number,
        box={"width": WIDTH, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        strip_height=STRIP,
    )


def _link(path: str, folder: Path) -> str:
    """Return the URL of a file relative to a page in ``folder``."""
    from urllib.parse import quote

    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # on another drive on Windows
        return Path(path).resolve().as_uri()


def _groups(shown: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    """Return the columns of one table per group. Each table begins with the columns that identify the row."""
    names = [column for column in shown if not column.group and column is not VERDICT]
    return [
        (group, [*names, *members])
        for group, members in itertools.groupby(
            (column for column in shown if column.group), lambda column: column.group
        )
    ]


def _scatters(report: Report) -> list[Scatter]:
    found = [
        (entry, entry.row.evaluation, entry.row.performance.latency_us)
        for entry in report.entries
        if isinstance(entry.row, Measured) and entry.row.evaluation and entry.row.performance
    ]
    if not found:
        return []
    size, latency = report.budget.size_bytes, report.budget.latency_us
    sizes = [_File(entry, entry.row.size_bytes / 1000, None, evaluation) for entry, evaluation, _ in found]
    latencies = [_File(entry, timed.p50, timed.p50_interval, evaluation) for entry, evaluation, timed in found]
    return [
        _scatter("Accuracy against size", "kB", sizes, size and size / 1000),
        _scatter("Accuracy against latency", "µs, median", latencies, latency),
    ]


def _scatter(title: str, x_label: str, files: Sequence[_File], limit: float | None) -> Scatter:
    height = HEIGHT + HEIGHT_PER_FILE * len(files)
    costs = [end for file in files for end in (file.cost, *(file.cost_interval or ()))]
    x = _logarithmic([*costs, *([limit] if limit else [])], LEFT, WIDTH - RIGHT)
    accuracies = [100 * end for file in files for end in (file.evaluation.accuracy, *file.evaluation.accuracy_interval)]
    low, high = math.floor(min(accuracies)), math.ceil(max(accuracies) + 1e-9)
    high += low == high

    def y(share: float) -> float:
        return TOP + (high - 100 * share) / (high - low) * (height - TOP - BOTTOM)

    steps = range(low, high + 1, max(1, (high - low) // 6))
    return Scatter(
        title,
        x_label,
        height,
        x_ticks=_ticks(x, costs),
        y_ticks=[Tick(y(step / 100), f"{step} %") for step in steps],
        dots=_dots(files, x, y, height, x(limit) if limit else None),
        limit=x(limit) if limit else None,
    )


def _dots(files: Sequence[_File], x: Scale, y: Scale, height: float, limit: float | None) -> list[Dot]:
    """Place the files and their names. Names avoid lines if possible."""
    points = [(x(file.cost), y(file.evaluation.accuracy)) for file in files]
    x_whiskers = [file.cost_interval and _scaled(file.cost_interval, x) for file in files]
    y_whiskers = [_scaled(file.evaluation.accuracy_interval, y) for file in files]
    lines = [Box(min(ends), at, max(ends), at + 1) for (_, at), ends in zip(points, x_whiskers, strict=True) if ends]
    lines += [Box(at, min(ends), at + 1, max(ends)) for (at, _), ends in zip(points, y_whiskers, strict=True)]
    lines += [Box(limit, 0, limit + 1, height)] if limit else []
    names = _names([file.entry.label for file in files], points, height, lines)
    return [
        Dot(*point, name, _tip(file.entry), file.entry.on_front, x_whisker, y_whisker)
        for file, point, name, x_whisker, y_whisker in zip(files, points, names, x_whiskers, y_whiskers, strict=True)
    ]


def _names(
    texts: Sequence[str], points: Sequence[tuple[float, float]], height: float, lines: Sequence[Box] = ()
) -> list[Name]:
    """Place names next to their points, with a line to each name that is farther away."""
    shown = [_shortened(text) for text in texts]
    bounds = Box(LEFT, TOP, WIDTH - 4, height - BOTTOM - 4)
    boxes = place(points, [(LETTER * cell_len(text), LINE) for text in shown], bounds, lines)
    return [Name(text, box, box.leader(point)) for text, point, box in zip(shown, points, boxes, strict=True)]


def _shortened(name: str) -> str:
    """Return a name that fits into a chart. A long name is shortened in the middle, because its ends say more."""
    half = MAX_NAME // 2
    return name if len(name) <= MAX_NAME else f"{name[:half]}…{name[-half:]}"


def _strips(entries: Sequence[Entry]) -> tuple[list[Strip], list[Tick]]:
    timed = [
        (entry, entry.row.performance.latency_us)
        for entry in entries
        if isinstance(entry.row, Measured) and entry.row.performance
    ]
    if not timed:
        return [], []
    edges = [
        edge
        for _, latency in timed
        for edge in (latency.every_5th[1], latency.every_5th[19], *(latency.p50_interval or ()))
    ]
    x = _logarithmic(edges, LEFT, WIDTH - RIGHT)
    strips = [
        Strip(
            _shortened(entry.label),
            _tip(entry),
            y=TOP + position * STRIP,
            most=(x(latency.every_5th[1]), x(latency.every_5th[19])),
            half=(x(latency.every_5th[5]), x(latency.every_5th[15])),
            median=x(latency.every_5th[10]),
            whisker=latency.p50_interval and _scaled(latency.p50_interval, x),
        )
        for position, (entry, latency) in enumerate(timed)
    ]
    return strips, _ticks(x, edges)


def _curves(entries: Sequence[Entry]) -> tuple[list[Curve], list[Tick], float]:
    compared = [
        (entry.label, entry.row.layer_sqnr_db)
        for entry in entries
        if isinstance(entry.row, Measured) and entry.row.layer_sqnr_db
    ]
    layers = layer_error.in_order([errors for _, errors in compared])
    ratios = [ratio for _, errors in compared for ratio in errors.values() if ratio is not None]
    height = HEIGHT + HEIGHT_PER_FILE * len(compared)
    if not ratios:
        return [], [], height
    low, high = min(0, math.floor(min(ratios) / 20) * 20), math.ceil(max(ratios) / 20 + 1e-9) * 20
    step = (WIDTH - RIGHT - LEFT) / max(1, len(layers) - 1)

    def y(decibels: float) -> float:
        return TOP + (high - decibels) / (high - low) * (height - TOP - BOTTOM)

    lines = [
        (artifact, [_point(layer, ratio, LEFT + step * layers.index(layer), y) for layer, ratio in _inexact(errors)])
        for artifact, errors in compared
    ]
    lines = [(artifact, points) for artifact, points in lines if points]
    names = _names([name for name, _ in lines], [(points[-1].x, points[-1].y) for _, points in lines], height)
    curves = [Curve(name, points) for (_, points), name in zip(lines, names, strict=True)]
    return curves, [Tick(y(mark), f"{mark} dB") for mark in range(low, high + 1, 20)], height


def _inexact(errors: LayerErrors) -> list[tuple[str, float]]:
    return [(layer, ratio) for layer, ratio in errors.items() if ratio is not None]


def _point(layer: str, ratio: float, x: float, y: Scale) -> Point:
    return Point(x, y(ratio), f"{layer}: {ratio:.1f} dB")


def _tip(entry: Entry) -> str:
    row = entry.row
    figures = [f"{row.size_bytes / 1000:.1f} kB"]
    if isinstance(row, Measured) and row.p50_us is not None:
        figures.append(f"{row.p50_us:.1f} µs")
    if isinstance(row, Measured) and row.accuracy is not None:
        figures.append(f"top-1 {format_share(row.accuracy)}")
    return f"{row.artifact} on {entry.runtime}: {', '.join(figures)}"


def _scaled(interval: Interval, scale: Scale) -> Interval:
    return scale(interval[0]), scale(interval[1])


def _logarithmic(values: Sequence[float], left: float, right: float) -> Scale:
    """Return a logarithmic scale from values to positions, with some space beyond the extremes."""
    low, high = math.log(min(values)) - 0.15, math.log(max(values)) + 0.15
    return lambda value: left + (math.log(value) - low) / (high - low) * (right - left)


def _ticks(scale: Scale, values: Sequence[float]) -> list[Tick]:
    """Return marks at 1, 2 and 5 times powers of ten within the values, or at the extremes, without overlaps."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    within = [mark for mark in marks if low / 1.1 <= mark <= high * 1.1]
    ticks: list[Tick] = []
    for mark in within if len(within) > 1 else (low, high):
        if not ticks or scale(mark) - ticks[-1].at >= TICK_WIDTH:
            ticks.append(Tick(scale(mark), f"{mark:,.6g}"))
    return ticks
