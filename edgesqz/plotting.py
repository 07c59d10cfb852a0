"""Pictures of results, through matplotlib if it is installed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.errors import EdgesqzError, first_line
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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


def names_beside(places: Sequence[tuple[float, float]], width: float, height: float) -> list[float]:
    """Where the names of dots stand so that none is on another: each beside its dot, or further on in y.

    Args:
        places: of the dots, (x, y).
        width: that a name may take, in the unit of x.
        height: that a name takes, in the unit of y.

    Returns:
        The y of each name.
    """
    names: dict[int, float] = {}
    for number in sorted(range(len(places)), key=lambda each: places[each][1]):
        x, y = places[number]
        near = [name for other, name in names.items() if abs(places[other][0] - x) < width]
        names[number] = max([y, *(name + height for name in near)])
    return [names[number] for number in range(len(places))]


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
