"""A plot of accuracy against size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import plotting
from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.render.labels import Box, place
from edgesqz.benchmarking.rows import Evaluation, Measured
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgesqz.benchmarking.report import Report

HEIGHT, HEIGHT_PER_FILE = 4.5, 0.12  # of the figure, in inches


@dataclass(frozen=True)
class _Point:
    """A file in the plot."""

    entry: Entry
    evaluation: Evaluation

    @property
    def at(self) -> tuple[float, float]:
        """Size in kB and accuracy in percent."""
        return self.entry.row.size_bytes / 1000, 100 * self.evaluation.accuracy


def draw(report: Report, path: Path) -> None:
    """Plot accuracy against size to an image file, .png or .svg, with a line at the size limit.

    Vertical lines are the 95 % confidence intervals of the accuracy.

    Raises:
        EdgesqzError: No file has an accuracy, matplotlib is not installed, the suffix is unknown, or the file cannot
            be written.
    """
    points = [
        _Point(entry, entry.row.evaluation)
        for entry in report.entries
        if isinstance(entry.row, Measured) and entry.row.evaluation and entry.row.size_bytes
    ]
    if not points:
        raise EdgesqzError("nothing to plot: no file has an accuracy")
    figure, axes = plotting.figure(height=HEIGHT + HEIGHT_PER_FILE * len(points))
    for runtime in sorted({point.entry.runtime for point in points}):
        _scatter(axes, runtime, [point for point in points if point.entry.runtime == runtime])
    if report.budget.size_bytes is not None:
        axes.axvline(report.budget.size_bytes / 1000, color="gray", linestyle="--", label="size limit")
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.1)
    plotting.plain_numbers(axes)
    axes.set_xlabel("size, kB (log scale)")
    axes.set_ylabel("top-1 accuracy on test images, %, with 95 % intervals")
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    axes.autoscale(False)
    figure.draw_without_rendering()  # computes the layout in pixels
    _write_names(axes, points)
    write_file(path, plotting.encode(figure, path))


def _scatter(axes: Axes, runtime: str, points: list[_Point]) -> None:
    sizes, accuracies = zip(*(point.at for point in points), strict=True)
    bounds = [(point.evaluation.accuracy, *point.evaluation.accuracy_interval) for point in points]
    below = [100 * (accuracy - low) for accuracy, low, _ in bounds]
    above = [100 * (high - accuracy) for accuracy, _, high in bounds]
    axes.errorbar(sizes, accuracies, yerr=[below, above], fmt="o", capsize=2, elinewidth=0.8, label=runtime)


def _write_names(axes: Axes, points: list[_Point]) -> None:
    """Write each name next to its point, with a line to each name that is farther away."""
    places = [(float(x), float(y)) for x, y in axes.transData.transform([point.at for point in points])]
    texts = [axes.text(*point.at, point.entry.label, fontsize=8, va="bottom") for point in points]
    sizes = [(extent.width, extent.height) for extent in (text.get_window_extent() for text in texts)]
    bounds = Box(*axes.get_window_extent().extents)
    to_data = axes.transData.inverted()
    for text, point, box in zip(texts, places, place(places, sizes, bounds), strict=True):
        left, bottom = to_data.transform((box.left, box.top))
        text.set_position((float(left), float(bottom)))
        if end := box.leader(point):
            axes.plot(*zip(*to_data.transform([point, end]), strict=True), "-", color="gray", lw=0.5)
