"""The changes between two reports as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgesqz.benchmarking.render.columns import NOISE
from edgesqz.benchmarking.wording import limit_name
from edgesqz.comparing.changes import Change, SizeChange
from edgesqz.tables import Column, Table

Cell = Callable[[Change], str]


def changes_table(changes: Sequence[Change], title: str, notes: Sequence[str], *, has_limits: bool) -> Table:
    """Return one row per file, without the columns that are empty in every row."""
    every = [*_COLUMNS, *([_VERDICT] if has_limits else [])]
    shown = [(column, cell) for column, cell in every if any(map(cell, changes))]
    return Table(
        [column for column, _ in shown],
        [[cell(change) for _, cell in shown] for change in changes],
        title,
        "\n".join(notes),
        "use --markdown",
    )


def _size(change: Change) -> str:
    return f"{change.size.new_bytes / 1000:.1f}"


def _growth(change: Change) -> str:
    return _signed(change.size.growth_percent, 1)


def _accuracy(change: Change) -> str:
    return f"{100 * change.accuracy.new:.2f}" if change.accuracy else ""


def _gain(change: Change) -> str:
    if change.accuracy is None:
        return ""
    return _signed(-change.accuracy.drop_pp, 2) + _star(change.accuracy.is_significant)


def _p(change: Change) -> str:
    found = change.accuracy
    if found is None or found.mcnemar_p is None:
        return ""
    return "<0.001" if found.mcnemar_p < 0.001 else f"{found.mcnemar_p:.3f}"


def _latency(change: Change) -> str:
    if change.latency is None:
        return ""
    ratio = change.latency.ratio
    if ratio.is_own:
        return "1"
    if change.latency.is_noise:
        return NOISE
    return f"{ratio.median:.2f}" + _star(change.latency.is_significant)


def _size_difference(change: SizeChange | None, unit_bytes: float, digits: int) -> str:
    return _signed((change.new_bytes - change.old_bytes) / unit_bytes, digits) if change else ""


def _signed(value: float, digits: int) -> str:
    """Format a difference with its sign, or as 0."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else "0"


def _star(is_significant: bool) -> str:
    return "*" if is_significant else ""


def _violated_limits(change: Change) -> str:
    """Return the names of the limits that a file violates. The messages give the values."""
    return ", ".join(limit_name(violation.limit) for violation in change.violations) or "ok"


_COLUMNS: list[tuple[Column, Cell]] = [
    (Column("artifact", is_name=True), lambda change: change.artifact),
    (Column("runtime", rank=3), lambda change: change.runtime),
    (Column("file", rank=2), lambda change: "same" if change.same_file else "new"),
    (Column("size\nkB", "right", rank=4), _size),
    (Column("growth\n%", "right"), _growth),
    (Column("top-1\n%", "right", rank=1), _accuracy),
    (Column("gain\npp", "right"), _gain),
    (Column("p", "right", rank=7), _p),
    (Column("latency\nnew/old", "right"), _latency),
    (Column("memory\nMB", "right", rank=5), lambda change: _size_difference(change.memory, 1e6, 1)),
    (Column("arena\nkB", "right", rank=6), lambda change: _size_difference(change.arena, 1e3, 1)),
]
_VERDICT: tuple[Column, Cell] = (Column("limits", is_prose=True), _violated_limits)
