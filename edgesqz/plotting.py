"""Pictures of results, through matplotlib if it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz.errors import EdgesqzError, first_line

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


def save(drawn: Figure, path: Path) -> None:
    """Write a figure to a file, .png or .svg.

    Raises:
        EdgesqzError: the suffix is none that matplotlib knows, or the disk refuses.
    """
    try:
        drawn.savefig(path)
    except (OSError, ValueError) as error:
        raise EdgesqzError(f"cannot write {path}: {first_line(error)}") from error
