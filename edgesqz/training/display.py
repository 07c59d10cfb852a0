"""The progress of a training run: a bar, and lines after some epochs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgesqz.progress import can_redraw

if TYPE_CHECKING:
    from rich.console import Console


MAX_EPOCH_LINES = 20


def has_line(epoch: int, epochs: int) -> bool:
    """Return whether to print a line after an epoch: at most about 20 of them in a run, and after the last epoch."""
    return epoch == epochs or epoch % math.ceil(epochs / MAX_EPOCH_LINES) == 0


@contextlib.contextmanager
def progress_bar(console: Console, steps: int, completed: int) -> Iterator[Callable[[int, str, str], None]]:
    """Show a progress bar if the console can redraw a line. Other consoles show only the lines between epochs.

    Yields:
        A function that takes the number of steps taken, the epoch and its figures.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    hidden = not can_redraw(console)
    with Progress(*columns, console=console, transient=True, speed_estimate_period=60, disable=hidden) as bar:
        task = bar.add_task("starting", total=steps, completed=completed, figures="")

        def show(step: int, epoch: str, figures: str) -> None:
            bar.update(task, completed=step, description=epoch, figures=figures)

        yield show
