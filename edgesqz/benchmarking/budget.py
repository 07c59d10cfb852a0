"""Limits on the cost and the accuracy of a model file. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.workspace.sizes import parse_quota, quantity, right_form

if TYPE_CHECKING:
    from edgesqz.benchmarking.rows import Measured

Limit = Literal[
    "size_bytes",
    "latency_us",
    "memory_bytes",
    "accuracy",
    "accuracy_drop_pp",
    "slowdown_percent",  # this and the following are limits on the changes since an earlier report
    "size_growth_percent",
    "arena_growth_percent",
]

MICROSECONDS = {"us": 1, "\u00b5s": 1, "\u03bcs": 1, "ms": 1000, "s": 1_000_000}


@dataclass(frozen=True)
class Violation:
    """A limit that a file does not meet.

    Attributes:
        limit: Name of the limit, including its unit.
        found: The file's value, or None if it is unknown.
        allowed: The limit: a minimum for accuracy, and a maximum for everything else.
    """

    limit: Limit
    found: float | None
    allowed: float


@dataclass(frozen=True)
class Budget:
    """Limits on a single file. None means no limit.

    Attributes:
        size_bytes: Maximum file size.
        latency_us: Maximum median latency.
        memory_bytes: Maximum memory of the engine beyond its idle process or, for an engine that works in an arena,
            maximum size of the arena.
        accuracy: Minimum top-1 accuracy, 0..1.
        accuracy_drop_pp: Maximum loss of top-1 accuracy against the source model, in percentage points.
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
        """Parse limits such as ``500kB``, ``2ms``, ``64MB``, 0.9 and 0.5.

        Raises:
            EdgesqzError: A limit is not a size or a time, or is out of range.
        """
        if min_accuracy is not None and not 0 <= min_accuracy <= 1:
            raise EdgesqzError(f"{option('min_accuracy')} must be from 0 to 1, got {min_accuracy}")
        if max_accuracy_drop is not None and not 0 <= max_accuracy_drop <= 100:
            raise EdgesqzError(
                f"{option('max_accuracy_drop')} must be from 0 to 100 percentage points, got {max_accuracy_drop}"
            )
        return cls(
            size_bytes=parsed("max_size", parse_quota, max_size),
            latency_us=None if max_latency is None else parsed("max_latency", parse_microseconds, max_latency),
            memory_bytes=parsed("max_memory", parse_quota, max_memory),
            accuracy=min_accuracy,
            accuracy_drop_pp=max_accuracy_drop,
        )

    @property
    def limits(self) -> dict[Limit, float]:
        """The limits that are set, by name."""
        limits: dict[Limit, float | None] = {
            "size_bytes": self.size_bytes,
            "latency_us": self.latency_us,
            "memory_bytes": self.memory_bytes,
            "accuracy": self.accuracy,
            "accuracy_drop_pp": self.accuracy_drop_pp,
        }
        return {name: allowed for name, allowed in limits.items() if allowed is not None}

    def violations(self, row: Measured, *, allows_unknown_drop: bool = False) -> tuple[Violation, ...]:
        """Return each limit that a file does not meet. An unknown value meets no limit.

        Args:
            row: The figures of the file.
            allows_unknown_drop: Whether a file whose accuracy was measured, but not that of its source model, meets
                any limit on the drop.
        """
        skipped = "accuracy_drop_pp" if allows_unknown_drop and row.evaluation and not row.comparison else None
        return tuple(violation for violation in self._violations(row) if violation.limit != skipped)

    def _violations(self, row: Measured) -> Iterator[Violation]:
        memory = row.performance.memory_bytes if row.performance else None
        found: dict[Limit, float | None] = {
            "size_bytes": row.size_bytes,
            "latency_us": row.p50_us,
            "memory_bytes": memory if row.arena_bytes is None else row.arena_bytes,
            "accuracy": row.accuracy,
            "accuracy_drop_pp": row.comparison.accuracy_drop_pp if row.comparison else None,
        }
        for name, allowed in self.limits.items():
            figure = found[name]
            if figure is None or (figure < allowed if name == "accuracy" else figure > allowed):
                yield Violation(name, figure, allowed)


def parse_microseconds(text: str) -> float:
    """Parse a time such as ``2ms``, ``500us`` or ``0.01s`` and return it in microseconds.

    Raises:
        EdgesqzError: The text is not a time above zero.
    """
    time_us = _time_us(text)
    if time_us is None:
        right = right_form(text, lambda form: _time_us(form) is not None)
        raise EdgesqzError(f"expected a time above zero such as 2ms, 500us or 0.01s, got {text!r}{right}")
    return time_us


def _time_us(text: str) -> float | None:
    """Return the time in microseconds, or None if the text is not a time."""
    number, unit = quantity(text) or (0, "")
    return float(number * MICROSECONDS[unit]) if number > 0 and unit in MICROSECONDS else None
