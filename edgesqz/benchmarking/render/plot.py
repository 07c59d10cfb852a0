"""A report as a picture of accuracy against size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import plotting
from edgesqz.errors import EdgesqzError

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report

NAME_WIDTH, NAME_HEIGHT = 190, 15  # of a file's name in the picture, in its pixels


def draw(report: Report, path: Path) -> None:
    """Draw accuracy against size into a picture file, .png or .svg; the quota, if there is one, is a line.

    Raises:
        EdgesqzError: no row has an accuracy, matplotlib is missing, the suffix is none it knows, or the disk refuses.
    """
    points = [
        (str(row.runtime), row.artifact, row.size_bytes / 1000, 100 * row.accuracy)
        for row in report.told_apart
        if row.accuracy is not None and row.size_bytes
    ]
    if not points:
        raise EdgesqzError("nothing to draw: no file has an accuracy")
    figure, axes = plotting.figure(height=5)
    for runtime in sorted({point[0] for point in points}):
        _, _, sizes, accuracies = zip(*(point for point in points if point[0] == runtime), strict=True)
        axes.scatter(sizes, accuracies, label=runtime)
    if report.budget.size_bytes is not None:
        axes.axvline(report.budget.size_bytes / 1000, color="grey", linestyle="--", label="quota")
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
