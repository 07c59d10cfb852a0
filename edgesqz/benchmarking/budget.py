"""What a model file may cost and must still get right, and which files no other beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError, option
from edgesqz.workspace.sizes import format_size, parse_quota, quantity, right_form

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Row

_Told = Callable[[Any], str]  # a figure, as a person would write it
_Limit = tuple[str, Any, Any, _Told]  # what is limited, what was found, the most it may be

MICROSECONDS = {"us": 1, "\u00b5s": 1, "\u03bcs": 1, "ms": 1000, "s": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """Limits on one file; None for none.

    Attributes:
        size_bytes: the most it may take on disk.
        latency_us: the most its median may be.
        memory_bytes: the most its engine may have had resident, over its process's idle; or the most its arena may
            be, where it works in one.
        accuracy: the least top-1, 0..1.
        accuracy_drop_pp: the most it may lose against its source model, in percentage points.
    """

    size_bytes: int | None = None
    latency_us: float | None = None
    memory_bytes: int | None = None
    accuracy: float | None = None
    accuracy_drop_pp: float | None = None

    @classmethod
    def parse(
        cls,
        max_size: str | int | None = None,
        max_latency: str | None = None,
        max_memory: str | int | None = None,
        min_accuracy: float | None = None,
        max_accuracy_drop: float | None = None,
    ) -> Budget:
        """Read limits as people write them: ``500kB``, ``2ms``, ``64MB``, 0.9, 0.5.

        Raises:
            EdgesqzError: one of them is no size, no time, or out of its range.
        """
        if min_accuracy is not None and not 0 <= min_accuracy <= 1:
            raise EdgesqzError(f"{option('min_accuracy')} must be from 0 to 1, got {min_accuracy}")
        if max_accuracy_drop is not None and not 0 <= max_accuracy_drop <= 100:
            raise EdgesqzError(
                f"{option('max_accuracy_drop')} must be from 0 to 100 percentage points, got {max_accuracy_drop}"
            )
        return cls(
            size_bytes=parse_quota(max_size),
            latency_us=None if max_latency is None else parse_microseconds(max_latency),
            memory_bytes=parse_quota(max_memory),
            accuracy=min_accuracy,
            accuracy_drop_pp=max_accuracy_drop,
        )

    def told(self) -> str:
        """The limits, as a person would list them; empty without any."""
        limits: tuple[tuple[str, Any, _Told], ...] = (
            ("size", self.size_bytes, format_size),
            ("latency", self.latency_us, _microseconds),
            ("memory", self.memory_bytes, format_size),
            ("accuracy", self.accuracy, "{:.2%}".format),
            ("drop", self.accuracy_drop_pp, _points),
        )
        return ", ".join(f"{name} {told(limit)}" for name, limit, told in limits if limit is not None)

    def missed_by(self, row: Row) -> tuple[str, ...] | None:
        """Why a row is not within the budget, a reason a limit, each beginning with its name; None without limits."""
        if self == Budget():
            return None
        if row.error:
            return ("failed",)
        p50 = row.latency_us.p50 if row.latency_us else None
        memory = row.memory_bytes if row.arena_bytes is None else row.arena_bytes
        most: tuple[_Limit, ...] = (
            ("size", row.size_bytes, self.size_bytes, format_size),
            ("latency", p50, self.latency_us, _microseconds),
            ("memory", memory, self.memory_bytes, format_size),
            ("drop", row.accuracy_drop_pp, self.accuracy_drop_pp, _points),
        )
        reasons = [
            f"{name} unknown" if found is None else f"{name} {told(found)}, at most {told(limit)}"
            for name, found, limit, told in most
            if limit is not None and (found is None or found > limit)
        ]
        if self.accuracy is not None and (row.accuracy is None or row.accuracy < self.accuracy):
            found = "unknown" if row.accuracy is None else f"{row.accuracy:.2%}"
            reasons.append(f"accuracy {found}, at least {self.accuracy:.2%}")
        return tuple(reasons)


def parse_microseconds(text: str) -> float:
    """Read a time such as ``2ms``, ``500us`` or ``0.01s`` as microseconds.

    Raises:
        EdgesqzError: the text is no time above zero.
    """
    time_us = _time_us(text)
    if time_us is None:
        right = right_form(text, lambda form: _time_us(form) is not None)
        raise EdgesqzError(f"expected a time above zero such as 2ms, 500us or 0.01s, got {text!r}{right}")
    return time_us


def _time_us(text: str) -> float | None:
    """The microseconds that a text is; None if it is no time."""
    number, unit = quantity(text) or (0, "")
    return float(number * MICROSECONDS[unit]) if number > 0 and unit in MICROSECONDS else None


def _microseconds(time_us: float) -> str:
    return f"{time_us:.1f} µs"


def _points(drop_pp: float) -> str:
    return f"{drop_pp:.2f} pp"


def label(row: Row, rows: Sequence[Row]) -> str:
    """The name of a row's file, with the runtime where several rows are of that file."""
    alone = sum(other.artifact == row.artifact for other in rows) == 1
    return row.artifact if alone else f"{row.artifact} on {row.runtime}"


def _rank(row: Row) -> tuple[float, float, float]:
    """Better rows rank lower: by accuracy, size, latency."""
    return -(row.accuracy or 0), row.size_bytes, row.latency_us.p50 if row.latency_us else 0


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats: none is as small, as fast and as accurate, and better in one of the three."""
    measured = [row for row in rows if row.accuracy is not None and row.latency_us]
    ranks = {id(row): _rank(row) for row in measured}
    return [row for row in measured if not any(_beats(ranks[id(other)], ranks[id(row)]) for other in measured)]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
