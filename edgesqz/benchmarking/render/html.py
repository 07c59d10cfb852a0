"""The report as one page for a browser: no script, and no request to anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqz import plotting
from edgesqz.benchmarking import parity
from edgesqz.benchmarking.budget import label, pareto_front
from edgesqz.benchmarking.parity import LayerErrors
from edgesqz.benchmarking.render.columns import columns, legend
from edgesqz.benchmarking.report import Latency, Report, Row

WIDTH, HEIGHT = 640, 340  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 56, 130, 16, 44  # around what is drawn; names of points reach into the right
NAME_WIDTH, NAME_HEIGHT = 170, 14  # of a dot's name, about
STRIP = 26  # height of a file's line among the latencies

Figure = Callable[[Row], float]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A file in a chart; ``tip`` is shown while the pointer rests on it, its name stands at ``name_y``."""

    x: float
    y: float
    name_y: float
    name: str
    tip: str
    on_front: bool


@dataclass(frozen=True)
class Scatter:
    """Accuracy against a cost, that on a logarithmic axis."""

    title: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    dots: list[Dot]
    limit: float | None  # where the budget ends


@dataclass(frozen=True)
class Strip:
    """A file's latencies on a common logarithmic axis: its range, middle half, and median, each as left and right."""

    name: str
    tip: str
    y: float
    most: tuple[float, float]
    half: tuple[float, float]
    median: float


@dataclass(frozen=True)
class Point:
    """A layer of a file; ``tip`` as of a dot."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Curve:
    """A file's signal-to-noise ratio from layer to layer; its name stands at ``name_y``, behind the last."""

    name: str
    name_y: float
    points: list[Point]


def page(report: Report) -> str:
    """Write a report as HTML; whatever comes from a file name or a label is escaped."""
    import jinja2

    source = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    rows = report.told_apart
    measured = [row for row in rows if row.accuracy is not None and row.latency_us]
    timed = [(row, row.latency_us) for row in rows if row.latency_us]
    strips, ticks = _strips(timed)
    curves, decibel_ticks = _curves(rows)
    return template.render(
        report=report,
        columns=columns(report),
        legend=legend(report),
        scatters=_scatters(report, measured) if measured else [],
        strips=strips,
        strip_ticks=ticks,
        curves=curves,
        decibel_ticks=decibel_ticks,
        confused=[row for row in measured if row.confusion],
        box={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        strip_height=STRIP,
    )


def _scatters(report: Report, rows: Sequence[Row]) -> list[Scatter]:
    limits = report.budget
    size, latency = limits.size_bytes, limits.latency_us
    return [
        _scatter("Accuracy against size", "kB", rows, lambda row: row.size_bytes / 1000, size and size / 1000),
        _scatter("Accuracy against latency", "µs, median", rows, _p50, latency),
    ]


def _scatter(title: str, x_label: str, rows: Sequence[Row], cost: Figure, limit: float | None) -> Scatter:
    costs, accuracies = [cost(row) for row in rows], [100 * (row.accuracy or 0) for row in rows]
    x = _logarithmic([*costs, *([limit] if limit else [])], LEFT, WIDTH - RIGHT)
    low, high = math.floor(min(accuracies)), math.ceil(max(accuracies) + 1e-9)
    high += low == high

    def y(accuracy: float) -> float:
        return TOP + (high - accuracy) / (high - low) * (HEIGHT - TOP - BOTTOM)

    front = pareto_front(rows)
    places = [(x(at), y(accuracy)) for at, accuracy in zip(costs, accuracies, strict=True)]
    dots = [
        Dot(*place, name_y, label(row, rows), _tip(row), row in front)
        for row, place, name_y in zip(rows, places, plotting.names_beside(places, NAME_WIDTH, NAME_HEIGHT), strict=True)
    ]
    steps = range(low, high + 1, max(1, (high - low) // 6))
    return Scatter(
        title,
        x_label,
        _ticks(x, costs),
        [Tick(y(step), f"{step} %") for step in steps],
        dots,
        x(limit) if limit else None,
    )


def _strips(timed: Sequence[tuple[Row, Latency]]) -> tuple[list[Strip], list[Tick]]:
    if not timed:
        return [], []
    edges = [edge for _, latency in timed for edge in (latency.every_5th[0], latency.every_5th[-1])]
    x = _logarithmic(edges, LEFT, WIDTH - RIGHT)
    strips = []
    rows = [row for row, _ in timed]
    for place, (row, latency) in enumerate(timed):
        spread = [x(value) for value in latency.every_5th]
        y = TOP + (place + 0.5) * STRIP
        strips.append(
            Strip(label(row, rows), _tip(row), y, (spread[1], spread[19]), (spread[5], spread[15]), spread[10])
        )
    return strips, _ticks(x, edges)


def _curves(rows: Sequence[Row]) -> tuple[list[Curve], list[Tick]]:
    compared = [(label(row, rows), row.layer_snr_db) for row in rows if row.layer_snr_db]
    layers = parity.in_order([errors for _, errors in compared])
    ratios = [ratio for _, errors in compared for ratio in errors.values() if ratio is not None]
    if not ratios:
        return [], []
    low, high = min(0, math.floor(min(ratios) / 20) * 20), math.ceil(max(ratios) / 20 + 1e-9) * 20
    step = (WIDTH - RIGHT - LEFT) / max(1, len(layers) - 1)

    def y(decibels: float) -> float:
        return TOP + (high - decibels) / (high - low) * (HEIGHT - TOP - BOTTOM)

    lines = [
        (artifact, [_point(layer, ratio, LEFT + step * layers.index(layer), y) for layer, ratio in _inexact(errors)])
        for artifact, errors in compared
    ]
    lines = [(artifact, points) for artifact, points in lines if points]
    ends = [(points[-1].x, points[-1].y) for _, points in lines]
    names = plotting.names_beside(ends, NAME_WIDTH, NAME_HEIGHT)
    curves = [Curve(artifact, name_y, points) for (artifact, points), name_y in zip(lines, names, strict=True)]
    return curves, [Tick(y(mark), f"{mark} dB") for mark in range(low, high + 1, 20)]


def _inexact(errors: LayerErrors) -> list[tuple[str, float]]:
    return [(layer, ratio) for layer, ratio in errors.items() if ratio is not None]


def _point(layer: str, ratio: float, x: float, y: Scale) -> Point:
    return Point(x, y(ratio), f"{layer}: {ratio:.1f} dB")


def _p50(row: Row) -> float:
    return row.latency_us.p50 if row.latency_us else 0


def _tip(row: Row) -> str:
    accuracy = "" if row.accuracy is None else f", top-1 {row.accuracy:.2%}"
    return f"{row.artifact} on {row.runtime}: {row.size_bytes / 1000:.1f} kB, {_p50(row):.1f} µs{accuracy}"


def _logarithmic(values: Sequence[float], left: float, right: float) -> Scale:
    """A scale from values above 0 to places, the least and the greatest with some room beside them."""
    low, high = math.log(min(values)) - 0.15, math.log(max(values)) + 0.15
    return lambda value: left + (math.log(value) - low) / (high - low) * (right - left)


def _ticks(scale: Scale, values: Sequence[float]) -> list[Tick]:
    """Marks at 1, 2 and 5 times the powers of ten within the values."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [Tick(scale(mark), f"{mark:g}") for mark in marks if low / 1.1 <= mark <= high * 1.1]
