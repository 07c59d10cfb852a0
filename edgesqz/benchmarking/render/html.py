"""A report as one page for a browser: no script, and no request to anywhere."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.cells import cell_len

from edgesqz.benchmarking import layer_error
from edgesqz.benchmarking.budget import label, pareto_front
from edgesqz.benchmarking.layer_error import LayerErrors
from edgesqz.benchmarking.render.columns import MAIN_RANK, VERDICT, Column, columns, legend, number
from edgesqz.benchmarking.render.labels import Box, place
from edgesqz.benchmarking.report import Latency, Report, Row
from edgesqz.stats import Interval

WIDTH, HEIGHT = 1100, 380  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 16, 48  # around what is drawn
LETTER, LINE = 6.7, 16  # width of a letter and height of a line of names, which are 11 px monospace
LONGEST_NAME = 100  # in letters; of a longer one the middle is left out
ROOM_PER_FILE = 14  # height that a chart gains for each file
STRIP = 44  # height of a file's lines among the latencies
TICK_WIDTH = 48  # that a number below an axis takes

Figure = Callable[[Row], float]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Name:
    """A name in a chart: where its text begins, and its box; ``leader`` is a line's end if it stands apart."""

    text: str
    box: Box
    leader: tuple[float, float] | None

    @property
    def baseline(self) -> float:
        """Where the letters stand."""
        return self.box.bottom - 4


@dataclass(frozen=True)
class Dot:
    """A file in a chart; ``tip`` is shown while the pointer rests on it, the whiskers are its 95 % intervals."""

    x: float
    y: float
    name: Name
    tip: str
    on_front: bool
    x_whisker: Interval | None
    y_whisker: Interval | None


@dataclass(frozen=True)
class Scatter:
    """Accuracy against a cost, that on a logarithmic axis."""

    title: str
    x_label: str
    height: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    dots: list[Dot]
    limit: float | None  # where the budget ends


@dataclass(frozen=True)
class Strip:
    """A file's latencies on a common logarithmic axis, each as left and right."""

    name: str
    tip: str
    y: float
    most: Interval
    half: Interval
    median: float
    whisker: Interval | None


@dataclass(frozen=True)
class Point:
    """A layer of a file; ``tip`` as of a dot."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Curve:
    """A file's signal-to-noise ratio from layer to layer."""

    name: Name
    points: list[Point]


def page(report: Report, folder: Path | None = None) -> str:
    """Write a report as HTML; whatever comes from a file name or a label is escaped.

    Args:
        report: what to show.
        folder: that the page will lie in, for links to the contact sheets; None for no links.
    """
    import jinja2

    source = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    rows = report.told_apart
    measured = [row for row in rows if row.accuracy is not None and row.latency_us]
    strips, ticks = _strips(report)
    curves, decibel_ticks, curves_height = _curves(rows)
    shown = columns(report)
    return template.render(
        report=report,
        measured_on=[f"{name}: {value}" for name, value in asdict(report.machine).items() if value is not None],
        main=[column for column in shown if column.rank <= MAIN_RANK],
        groups=_groups(shown),
        legend=legend(report),
        scatters=_scatters(report, measured) if measured else [],
        strips=strips,
        strip_ticks=ticks,
        curves=curves,
        curves_height=curves_height,
        decibel_ticks=decibel_ticks,
        graded=[(label(row, rows), row) for row in rows if row.class_accuracies],
        confused=[(label(row, rows), row) for row in rows if row.confusion],
        flips=[(label(row, rows), _link(row.flips, folder)) for row in rows if row.flips and folder],
        number=number,
        box={"width": WIDTH, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        strip_height=STRIP,
    )


def _link(path: str, folder: Path) -> str:
    """The address of a file from a page in ``folder``."""
    from urllib.parse import quote

    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # on another drive of Windows
        return Path(path).resolve().as_uri()


def _groups(shown: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    """All columns, a table for each group, beginning with those that name the row."""
    names = [column for column in shown if not column.group and column is not VERDICT]
    return [
        (group, [*names, *members])
        for group, members in itertools.groupby(
            (column for column in shown if column.group), lambda column: column.group
        )
    ]


def _scatters(report: Report, rows: Sequence[Row]) -> list[Scatter]:
    size, latency = report.budget.size_bytes, report.budget.latency_us
    return [
        _scatter("Accuracy against size", "kB", rows, _kilobytes, lambda _: None, size and size / 1000),
        _scatter("Accuracy against latency", "µs, median", rows, _p50, _p50_interval, latency),
    ]


def _scatter(
    title: str,
    x_label: str,
    rows: Sequence[Row],
    cost: Figure,
    interval: Callable[[Row], Interval | None],
    limit: float | None,
) -> Scatter:
    height = HEIGHT + ROOM_PER_FILE * len(rows)
    costs = [cost(row) for row in rows]
    ends = [end for row in rows for end in interval(row) or ()]
    x = _logarithmic([*costs, *ends, *([limit] if limit else [])], LEFT, WIDTH - RIGHT)
    accuracies: list[float] = [100 * end for row in rows for end in (row.accuracy or 0, *(row.accuracy_interval or ()))]
    low, high = math.floor(min(accuracies)), math.ceil(max(accuracies) + 1e-9)
    high += low == high

    def y(share: float) -> float:
        return TOP + (high - 100 * share) / (high - low) * (height - TOP - BOTTOM)

    points = [(x(at), y(row.accuracy or 0)) for row, at in zip(rows, costs, strict=True)]
    x_whiskers = [_scaled(interval(row), x) for row in rows]
    y_whiskers = [_scaled(row.accuracy_interval, y) for row in rows]
    lines = [
        whisker
        for (at_x, at_y), across, upright in zip(points, x_whiskers, y_whiskers, strict=True)
        for whisker in (
            across and Box(min(across), at_y, max(across), at_y + 1),
            upright and Box(at_x, min(upright), at_x + 1, max(upright)),
        )
        if whisker
    ]
    lines += [Box(x(limit), 0, x(limit) + 1, height)] if limit else []
    names = _names([label(row, rows) for row in rows], points, height, lines)
    front = pareto_front(rows)
    dots = [
        Dot(*point, name, _tip(row), row in front, x_whisker, y_whisker)
        for row, point, name, x_whisker, y_whisker in zip(rows, points, names, x_whiskers, y_whiskers, strict=True)
    ]
    steps = range(low, high + 1, max(1, (high - low) // 6))
    y_ticks = [Tick(y(step / 100), f"{step} %") for step in steps]
    return Scatter(title, x_label, height, _ticks(x, [*costs, *ends]), y_ticks, dots, x(limit) if limit else None)


def _names(
    texts: Sequence[str], points: Sequence[tuple[float, float]], height: float, lines: Sequence[Box] = ()
) -> list[Name]:
    """Names beside their points, with a line to those that had to move away."""
    shown = [_shortened(text) for text in texts]
    bounds = Box(LEFT, TOP, WIDTH - 4, height - BOTTOM - 4)
    boxes = place(points, [(LETTER * cell_len(text), LINE) for text in shown], bounds, lines)
    return [Name(text, box, box.leader(point)) for text, point, box in zip(shown, points, boxes, strict=True)]


def _shortened(name: str) -> str:
    """A name that fits into a chart; of a longer one the middle is left out, for its ends tell more."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _strips(report: Report) -> tuple[list[Strip], list[Tick]]:
    rows = report.told_apart
    timed: list[tuple[Row, Latency]] = [(row, row.latency_us) for row in rows if row.latency_us]
    if not timed:
        return [], []
    edges = [edge for _, latency in timed for edge in (latency.every_5th[1], latency.every_5th[19])]
    edges += [end for row, _ in timed for end in _p50_interval(row) or ()]
    x = _logarithmic(edges, LEFT, WIDTH - RIGHT)
    strips = []
    for position, (row, latency) in enumerate(timed):
        spread = [x(value) for value in latency.every_5th[1:20]]
        strips.append(
            Strip(
                _shortened(label(row, rows)),
                _tip(row),
                TOP + position * STRIP,
                (spread[0], spread[18]),
                (spread[4], spread[14]),
                spread[9],
                _scaled(latency.p50_interval, x),
            )
        )
    return strips, _ticks(x, edges)


def _curves(rows: Sequence[Row]) -> tuple[list[Curve], list[Tick], float]:
    compared = [(label(row, rows), row.layer_sqnr_db) for row in rows if row.layer_sqnr_db]
    layers = layer_error.in_order([errors for _, errors in compared])
    ratios = [ratio for _, errors in compared for ratio in errors.values() if ratio is not None]
    height = HEIGHT + ROOM_PER_FILE * len(compared)
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


def _kilobytes(row: Row) -> float:
    return row.size_bytes / 1000


def _p50(row: Row) -> float:
    return row.latency_us.p50 if row.latency_us else 0


def _p50_interval(row: Row) -> Interval | None:
    return row.latency_us.p50_interval if row.latency_us else None


def _tip(row: Row) -> str:
    accuracy = "" if row.accuracy is None else f", top-1 {row.accuracy:.2%}"
    return f"{row.artifact} on {row.runtime}: {row.size_bytes / 1000:.1f} kB, {_p50(row):.1f} µs{accuracy}"


def _scaled(interval: Interval | None, scale: Scale) -> Interval | None:
    return interval and (scale(interval[0]), scale(interval[1]))


def _logarithmic(values: Sequence[float], left: float, right: float) -> Scale:
    """A scale from values above 0 to places, the least and the greatest with some room beside them."""
    low, high = math.log(min(values)) - 0.15, math.log(max(values)) + 0.15
    return lambda value: left + (math.log(value) - low) / (high - low) * (right - left)


def _ticks(scale: Scale, values: Sequence[float]) -> list[Tick]:
    """Marks at 1, 2 and 5 times the powers of ten within the values, or at the values' ends, none on another."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    within = [mark for mark in marks if low / 1.1 <= mark <= high * 1.1]
    ticks: list[Tick] = []
    for mark in within if len(within) > 1 else (low, high):
        if not ticks or scale(mark) - ticks[-1].at >= TICK_WIDTH:
            ticks.append(Tick(scale(mark), f"{mark:,.6g}"))
    return ticks
