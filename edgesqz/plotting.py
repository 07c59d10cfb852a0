"""Images of results, through matplotlib if it is installed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.errors import EdgesqzError, first_line
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FOR_HALVES = 500  # of an axis's ends' ratio, to have room for numbers between the powers of ten


def figure(height: float) -> tuple[Figure, Axes]:
    """An empty figure, 8 inches wide and ``height`` high.

    Raises:
        EdgesqzError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EdgesqzError("--plot needs matplotlib; try pip install 'edgesqz[plot]'") from error
    empty = Figure(figsize=(8, height), layout="constrained")
    axes = empty.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return empty, axes


def plain_numbers(axes: Axes) -> None:
    """Write the numbers of a logarithmic x axis as people do: 200 and 1,000, no powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high / low < MOST_FOR_HALVES else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.12g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save(drawn: Figure, path: Path) -> None:
    """Write a figure to a file, .png or .svg.

    Raises:
        EdgesqzError: the suffix is none that matplotlib knows, the quota has no room, or the disk refuses.
    """
    content = io.BytesIO()
    try:
        drawn.savefig(content, format=path.suffix.removeprefix("."))
    except ValueError as error:
        raise EdgesqzError(f"cannot write {path}: {first_line(error)}") from error
    write_file(path, content.getvalue())
