"""The progress display of a sweep: a line for each finished trial and, in a terminal, a live table of running ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edgesqz.progress import can_redraw
from edgesqz.sweeping.keeper import Snapshot
from edgesqz.sweeping.trials import Trial
from edgesqz.tables import Column, Table, counted
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live as RichLive

INTERVAL_S = 1


class Live:
    """Shows the progress of a sweep while the ``with`` block runs.

    Args:
        look: Returns the current state of the sweep.
        planned: Number of trials to run.
        console: The console to print to.
    """

    def __init__(self, look: Callable[[], Snapshot], planned: int, console: Console) -> None:
        self.look, self.planned, self.console = look, planned, console
        self.started = time.monotonic()
        self._shown: set[int] = set()
        self._over_before: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._live: RichLive | None = None

    def __enter__(self) -> Self:
        """Start the display."""
        from rich.live import Live as RichLive

        if can_redraw(self.console):
            self._live = RichLive(console=self.console, transient=True, auto_refresh=False)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the display."""
        self._stopped.set()
        self._thread.join()
        if self._live:
            self._live.stop()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self._show(self.look())

    def _show(self, snapshot: Snapshot) -> None:
        over = [trial for trial in snapshot.trials if trial.is_over]
        if self._over_before is None:
            self._over_before = len(over)
            self._shown = {trial.number for trial in over}
        for trial in over:
            if trial.number not in self._shown:
                self._shown.add(trial.number)
                self.console.print(_line(trial), highlight=False, markup=False, soft_wrap=True)
        if self._live:
            self._live.update(self._table(snapshot), refresh=True)

    def _table(self, snapshot: Snapshot) -> Table:
        running = [trial for trial in snapshot.trials if trial.state == "running"]
        rows = [[f"{trial.number}", trial.model, str(trial.epochs), _percent(trial.accuracy)] for trial in running]
        columns = [Column("trial", "right"), Column("network", is_name=True), Column("epochs", "right")]
        return Table([*columns, Column("accuracy\n%", "right")], rows, caption=self._caption(snapshot))

    def _caption(self, snapshot: Snapshot) -> str:
        over = [trial for trial in snapshot.trials if trial.is_over]
        best = max((file.accuracy for trial in snapshot.trials for file in trial.files), default=None)
        bytes_used = format_size(snapshot.used_bytes)
        if snapshot.quota_bytes is not None:
            bytes_used += f" of {format_size(snapshot.quota_bytes)}"
        parts = [f"{counted(len(over), 'trial')} done, {self.planned} planned for this run"]
        parts.append(f"best validation accuracy {_percent(best)} %" if best is not None else "no files yet")
        parts.append(f"{bytes_used} used")
        done = len(over) - (self._over_before or 0)
        if 0 < done < self.planned:
            left = (time.monotonic() - self.started) / done * (self.planned - done)
            parts.append(f"about {max(round(left / 60), 1)} min left")
        return ", ".join(parts)


def _line(trial: Trial) -> str:
    figures = [
        f"{file.name} {format_size(file.size_bytes)}, validation accuracy {file.accuracy:.2%}" for file in trial.files
    ]
    return f"trial {trial.number}, {trial.model}: {trial.state}; {'; '.join(figures) or trial.reason}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
