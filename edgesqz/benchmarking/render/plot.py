"""A report as an image of accuracy against size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import plotting
from edgesqz.benchmarking.budget import label
from edgesqz.benchmarking.render.labels import Box, place
from edgesqz.errors import EdgesqzError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgesqz.benchmarking.report import Report, Row

HEIGHT, HEIGHT_PER_FILE = 4.5, 0.12  # of the figure, in inches


def draw(report: Report, path: Path) -> None:
    """Draw accuracy against size into an image file, .png or .svg; the size limit, if there is one, is a line.

    Upright lines are the 95 % intervals of the accuracies.

    Raises:
        EdgesqzError: no row has an accuracy, matplotlib is missing, the suffix is none it knows, or the disk refuses.
    """
    rows = [row for row in report.told_apart if row.accuracy is not None and row.size_bytes]
    if not rows:
        raise EdgesqzError("nothing to draw: no file has an accuracy")
    figure, axes = plotting.figure(height=HEIGHT + HEIGHT_PER_FILE * len(rows))
    for runtime in sorted({str(row.runtime) for row in rows}):
        _scatter(axes, runtime, [row for row in rows if str(row.runtime) == runtime])
    if report.budget.size_bytes is not None:
        axes.axvline(report.budget.size_bytes / 1000, color="gray", linestyle="--", label="size limit")
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.1)
    plotting.plain_numbers(axes)
    axes.set_xlabel("size in kB, logarithmic")
    axes.set_ylabel("top-1 on the test images, %; lines: 95 % intervals")
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    axes.autoscale(False)
    figure.draw_without_rendering()  # settles where everything is, in pixels
    _write_names(axes, rows, [label(row, report.told_apart) for row in rows])
    plotting.save(figure, path)


def _scatter(axes: Axes, runtime: str, rows: list[Row]) -> None:
    sizes = [row.size_bytes / 1000 for row in rows]
    accuracies = [100 * (row.accuracy or 0) for row in rows]
    ends = [row.accuracy_interval or (row.accuracy or 0, row.accuracy or 0) for row in rows]
    below = [accuracy - 100 * low for accuracy, (low, _) in zip(accuracies, ends, strict=True)]
    above = [100 * high - accuracy for accuracy, (_, high) in zip(accuracies, ends, strict=True)]
    axes.errorbar(sizes, accuracies, yerr=[below, above], fmt="o", capsize=2, elinewidth=0.8, label=runtime)


def _write_names(axes: Axes, rows: list[Row], names: list[str]) -> None:
    """Write each name beside its point, with a line to those that had to move away."""
    data = [(row.size_bytes / 1000, 100 * (row.accuracy or 0)) for row in rows]
    points = [(float(x), float(y)) for x, y in axes.transData.transform(data)]
    texts = [axes.text(*at, name, fontsize=8, va="bottom") for at, name in zip(data, names, strict=True)]
    extents = [text.get_window_extent() for text in texts]
    bounds = Box(*axes.get_window_extent().extents)
    for text, point, box in zip(
        texts, points, place(points, [(e.width, e.height) for e in extents], bounds), strict=True
    ):
        left, bottom = axes.transData.inverted().transform((box.left, box.top))
        text.set_position((float(left), float(bottom)))
        if end := box.leader(point):
            axes.plot(*zip(*axes.transData.inverted().transform([point, end]), strict=True), "-", color="gray", lw=0.5)
