"""Plots of results, with matplotlib if it is installed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.errors import EdgesqzError, first_line, option

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_RATIO_FOR_MINOR_LABELS = 500  # a wider axis has no space for labels between the powers of ten


def figure(height: float) -> tuple[Figure, Axes]:
    """Return an empty figure, 8 inches wide and ``height`` inches high.

    Raises:
        EdgesqzError: matplotlib is not installed.
    """
    empty, (axes,) = panels(height)
    return empty, axes


def panels(*heights: float) -> tuple[Figure, list[Axes]]:
    """Return an empty figure, 8 inches wide, with plots below each other that share the x axis.

    Args:
        heights: Heights of the plots, in inches.

    Raises:
        EdgesqzError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EdgesqzError(f"{option('plot')} needs matplotlib; try pip install 'edgesqz[plot]'") from error
    empty = Figure(figsize=(8, sum(heights)), layout="constrained")
    grid = empty.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return empty, list(grid.flat)


def check(path: Path) -> None:
    """Check that a plot can be encoded for a file with this suffix, before hours of work.

    Raises:
        EdgesqzError: matplotlib is not installed or does not support the suffix.
    """
    empty, _ = figure(height=1)
    if path.suffix.removeprefix(".").lower() not in empty.canvas.get_supported_filetypes():
        raise EdgesqzError(f"{option('plot')}: expected a .png or .svg file, got {path}")


def plain_numbers(axes: Axes) -> None:
    """Label a logarithmic x axis with plain numbers such as 200 and 1,000 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high / low < MAX_RATIO_FOR_MINOR_LABELS else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.12g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def count_along_x(axes: Axes, count: int) -> None:
    """Make the x axis show the whole numbers from 1 to ``count``."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, count + 0.5)


def encode(drawn: Figure, path: Path) -> bytes:
    """Return a figure as the content of a file with this suffix, such as .png or .svg.

    Raises:
        EdgesqzError: matplotlib does not support the suffix.
    """
    content = io.BytesIO()
    try:
        drawn.savefig(content, format=path.suffix.removeprefix("."))
    except ValueError as error:
        raise EdgesqzError(f"cannot write {path}: {first_line(error)}") from error
    return content.getvalue()
