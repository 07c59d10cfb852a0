"""The history of a training run: its figures at the end of each epoch, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import plotting
from edgesqz.tables import Column, Table, counted
from edgesqz.workspace import Workspace, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Entry = dict[str, float]  # the figures of an epoch by name; runs of older versions have fewer

MAX_ROWS = 10
MAX_MARKED_EPOCHS = 50  # more points would hide the line
LOSS_HEIGHT, ACCURACY_HEIGHT, RATE_HEIGHT = 2.2, 2.8, 1.3  # of the plots, in inches


@dataclass(frozen=True)
class Figure:
    """A figure of the history.

    Attributes:
        name: Name in the history.
        tag: Name in TensorBoard.
        head: Heading of its column in a table.
        form: Format of its values in a table.
    """

    name: str
    tag: str
    head: str
    form: str


FIGURES = (
    Figure("loss", "loss", "loss", ".3f"),
    Figure("training_accuracy", "accuracy/training", "training\naccuracy", ".2%"),
    Figure("validation_accuracy", "accuracy/validation", "validation\naccuracy", ".2%"),
    Figure("learning_rate", "learning_rate", "learning\nrate", ".3g"),
    Figure("images_per_second", "images_per_second", "images/s", ",.0f"),
)


def table(history: Sequence[Entry]) -> Table:
    """Return a table of at most ten epochs, evenly spaced, with the first and the last one."""
    figures = [figure for figure in FIGURES if any(figure.name in entry for entry in history)]
    shown = _evenly_spaced(len(history), MAX_ROWS)
    rows = [
        [str(number + 1), *(f"{entry[f.name]:{f.form}}" if f.name in entry else "" for f in figures)]
        for number, entry in ((number, history[number]) for number in shown)
    ]
    hidden = len(history) - len(shown)
    return Table(
        [Column("epoch", "right"), *(Column(figure.head, "right") for figure in figures)],
        rows,
        "history",
        caption=f"{counted(hidden, 'more epoch')}; --json shows all" if hidden else "",
    )


def _evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most ``most`` of the numbers below ``count``, with the first and the last one."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def draw(history: Sequence[Entry], path: Path, workspace: Workspace | None = None) -> None:
    """Plot loss, accuracy and learning rate by epoch, as .png or .svg.

    Args:
        history: The history.
        path: The file to write.
        workspace: The workspace of the run. Its quota applies if the file is in it.

    Raises:
        EdgesqzError: matplotlib is not installed, the suffix is unknown, or the file cannot be written.
    """
    has_rates = any("learning_rate" in entry for entry in history)
    heights = (LOSS_HEIGHT, ACCURACY_HEIGHT, *([RATE_HEIGHT] if has_rates else []))
    drawn, (loss, accuracy, *rate) = plotting.panels(*heights)
    _draw_curve(loss, history, "loss")
    loss.set_ylabel("loss")
    _draw_accuracies(accuracy, history)
    for axes in rate:
        _draw_curve(axes, history, "learning_rate", "gray")
        axes.set_ylabel("learning rate")
        axes.set_ylim(bottom=0)
    lowest = (rate or [accuracy])[-1]
    plotting.count_along_x(lowest, len(history))
    lowest.set_xlabel("epoch")
    write_file(path, plotting.encode(drawn, path), workspace)


def _draw_accuracies(axes: Axes, history: Sequence[Entry]) -> None:
    """Draw both accuracies, with their names beside their ends. The names do not overlap even where the curves meet."""
    colors = {"training": "C0", "validation": "C1"}
    final = {name: 100 * history[-1][f"{name}_accuracy"] for name in colors if f"{name}_accuracy" in history[-1]}
    names = sorted(final, key=lambda name: final[name])
    for name, alignment in zip(names, ("top", "bottom") if len(names) > 1 else ("center",), strict=True):
        _draw_curve(axes, history, f"{name}_accuracy", colors[name], scale=100)
        axes.annotate(
            f"{name} {final[name]:.1f} %",
            (len(history), final[name]),
            xytext=(6, 0),
            textcoords="offset points",
            color=colors[name],
            fontsize=8,
            va=alignment,
        )
    axes.set_ylabel("accuracy, %")


def _draw_curve(axes: Axes, history: Sequence[Entry], name: str, color: str = "C0", scale: float = 1) -> None:
    """Draw a figure of the history by epoch."""
    points = [(epoch, scale * entry[name]) for epoch, entry in enumerate(history, start=1) if name in entry]
    marker = "." if len(history) <= MAX_MARKED_EPOCHS else ""
    axes.plot(*zip(*points, strict=True), marker=marker, color=color)
