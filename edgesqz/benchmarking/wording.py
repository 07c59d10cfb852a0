"""Format limits and values for messages, captions and explanations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgesqz.benchmarking.budget import Budget, Limit, Violation
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True)
class _Wording:
    """The wording of a limit: its short name, the format of its values, and the words before an allowed value."""

    name: str
    format: Callable[[Any], str]
    bound: str = "at most"


def format_share(share: float) -> str:
    """Format a share, 0..1, as a percentage."""
    return f"{share:.2%}"


def format_time(time_us: float) -> str:
    """Format a time in microseconds."""
    return f"{time_us:.1f} µs"


def format_p(p: float) -> str:
    """Format a p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_percent(percent: float) -> str:
    """Format a change in percent."""
    return f"{percent:.1f} %"


_WORDINGS: dict[Limit, _Wording] = {
    "size_bytes": _Wording("size", format_size),
    "latency_us": _Wording("latency", format_time),
    "memory_bytes": _Wording("memory", format_size),
    "accuracy": _Wording("accuracy", format_share, "at least"),
    "accuracy_drop_pp": _Wording("drop", "{:.2f} pp".format),
    "slowdown_percent": _Wording("slowdown", format_percent),
    "size_growth_percent": _Wording("growth", format_percent),
    "arena_growth_percent": _Wording("arena growth", format_percent),
}


def limit_name(limit: Limit) -> str:
    """Return the short name of a limit, such as ``size``."""
    return _WORDINGS[limit].name


def describe_violation(violation: Violation) -> str:
    """Describe a violation, such as ``size 73.5 kB, at most 50.0 kB``."""
    wording = _WORDINGS[violation.limit]
    found = "unknown" if violation.found is None else wording.format(violation.found)
    return f"{wording.name} {found}, {wording.bound} {wording.format(violation.allowed)}"


def describe_budget(budget: Budget) -> str:
    """List the limits, such as ``size 500.0 kB, latency 2000.0 µs``. Empty without limits."""
    return ", ".join(f"{limit_name(name)} {_WORDINGS[name].format(value)}" for name, value in budget.limits.items())
