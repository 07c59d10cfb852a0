"""Compare the rows of a report: their labels, the limits they violate, and whether another file beats them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgesqz.benchmarking.budget import Budget, Violation
from edgesqz.benchmarking.rows import Failed, Measured, Row


@dataclass(frozen=True)
class Entry:
    """A row, and facts that follow from comparing it with the other rows.

    Attributes:
        row: The row.
        label: Unique name of the row: the file, with the runtime if several rows have the same file.
        runtime: Name of the runtime, with its version if several versions of it ran the file. Empty if none did.
        violations: The limits that the file does not meet.
        within_budget: Whether the file was measured and meets all limits, or None without limits.
        on_front: Whether the file is on the Pareto front of size, latency and accuracy.
    """

    row: Row
    label: str
    runtime: str
    violations: tuple[Violation, ...]
    within_budget: bool | None
    on_front: bool


def entries(rows: Sequence[Row], budget: Budget, *, allows_unknown_drop: bool = False) -> tuple[Entry, ...]:
    """Label rows, check them against the limits, and find the Pareto front."""
    front = {id(row) for row in pareto_front(rows)}
    rows_of_file = Counter(row.artifact for row in rows)
    runtimes = _distinct_runtimes(rows)
    found = []
    for row, runtime in zip(rows, runtimes, strict=True):
        violations: tuple[Violation, ...] = ()
        if isinstance(row, Measured):
            violations = budget.violations(row, allows_unknown_drop=allows_unknown_drop)
        found.append(
            Entry(
                row,
                label=row.artifact if rows_of_file[row.artifact] == 1 else f"{row.artifact} on {runtime}",
                runtime=runtime,
                violations=violations,
                within_budget=not isinstance(row, Failed) and not violations if budget.limits else None,
                on_front=id(row) in front,
            )
        )
    return tuple(found)


def _distinct_runtimes(rows: Sequence[Row]) -> list[str]:
    """Return the name of each row's runtime, with the version if several versions ran the same file."""
    versions = Counter((row.artifact, row.runtime) for row in rows)
    return [
        f"{row.runtime} {row.runtime_version or ''}".strip()
        if versions[row.artifact, row.runtime] > 1
        else row.runtime or ""
        for row in rows
    ]


def pareto_front(rows: Sequence[Row]) -> list[Measured]:
    """Return the rows that no other row beats, that is, matches in every cost and improves on in at least one."""
    costs = [(row, cost) for row in rows if isinstance(row, Measured) and (cost := _costs(row))]
    return [row for row, cost in costs if not any(_beats(other, cost) for _, other in costs)]


def _costs(row: Measured) -> tuple[float, float, float] | None:
    """Return values where lower is better (negative accuracy, size, latency), or None if one of them is unknown."""
    if row.accuracy is None or row.p50_us is None:
        return None
    return -row.accuracy, row.size_bytes, row.p50_us


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
