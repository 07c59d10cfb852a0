"""The rows of a report as flat records, for pandas and CSV.

The columns for people (``render/columns.py``) round values, put an interval next to its value, and omit most values.
Programs need every raw number in a separate field, under a stable name that includes its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.rows import Comparison, Evaluation, Measured, Performance, Ratio
from edgesqz.benchmarking.selection import Selection
from edgesqz.stats import Interval

Value = str | float | bool | None
Figure = Callable[[Entry], Value]


def flat_records(entries: Sequence[Entry], selection: Selection, classes: Sequence[str]) -> list[dict[str, Value]]:
    """Return one record per row. All have the same fields in the same order, with None for unknown values.

    Args:
        entries: The rows.
        selection: The best file.
        classes: Names of the classes. Empty if accuracy was not measured.
    """
    measured = [entry.row for entry in entries if isinstance(entry.row, Measured)]
    layers = dict.fromkeys(name for row in measured for name in row.layer_sqnr_db or {})
    figures: dict[str, Figure] = {
        **_FIGURES,
        "chosen": lambda entry: entry.label == selection.chosen,
        "not_chosen": lambda entry: selection.reasons.get(entry.label),
        **{f"class_accuracy.{name}": _class_accuracy(number) for number, name in enumerate(classes)},
        **{f"layer_sqnr_db.{name}": _layer_sqnr_db(name) for name in layers},
    }
    return [{name: figure(entry) for name, figure in figures.items()} for entry in entries]


def _row(name: str) -> Figure:
    """Return a figure that is an attribute of the row, or None for a row without that attribute."""
    return lambda entry: getattr(entry.row, name, None)


def _measured(value: Callable[[Measured], Value]) -> Figure:
    """Return a figure that is None for a file that could not be measured."""
    return lambda entry: value(entry.row) if isinstance(entry.row, Measured) else None


def _evaluation(value: Callable[[Evaluation], Value]) -> Figure:
    return _measured(lambda row: value(row.evaluation) if row.evaluation else None)


def _comparison(value: Callable[[Comparison], Value]) -> Figure:
    return _measured(lambda row: value(row.comparison) if row.comparison else None)


def _performance(value: Callable[[Performance], Value]) -> Figure:
    return _measured(lambda row: value(row.performance) if row.performance else None)


def _ratio(value: Callable[[Ratio], Value]) -> Figure:
    return _performance(lambda found: value(found.latency_ratio) if found.latency_ratio else None)


def _percentile(number: int) -> Figure:
    return _performance(lambda found: found.latency_us.every_5th[number] if found.latency_us.batch == 1 else None)


def _class_accuracy(number: int) -> Figure:
    return _evaluation(lambda found: found.class_accuracies[number])


def _layer_sqnr_db(name: str) -> Figure:
    return _measured(lambda row: (row.layer_sqnr_db or {}).get(name))


def _low(interval: Interval | None) -> float | None:
    return interval[0] if interval else None


def _high(interval: Interval | None) -> float | None:
    return interval[1] if interval else None


_FIGURES: dict[str, Figure] = {
    "label": lambda entry: entry.label,
    "artifact": _row("artifact"),
    "path": _row("path"),
    "sha256": _row("sha256"),
    "format": _row("format"),
    "variant": _row("variant"),
    "runtime": _row("runtime"),
    "runtime_version": _row("runtime_version"),
    "threads": _row("threads"),
    "named": _row("named"),
    "untrained": _row("untrained"),
    "error": _row("error"),
    "size_bytes": _row("size_bytes"),
    "gzipped_bytes": _row("gzipped_bytes"),
    "accuracy": _evaluation(attrgetter("accuracy")),
    "accuracy_low": _evaluation(lambda found: _low(found.accuracy_interval)),
    "accuracy_high": _evaluation(lambda found: _high(found.accuracy_interval)),
    "top5_accuracy": _evaluation(attrgetter("top5")),
    "no_accuracy": _row("no_accuracy"),
    "accuracy_drop_pp": _comparison(attrgetter("accuracy_drop_pp")),
    "mcnemar_p": _comparison(attrgetter("mcnemar_p")),
    "gained": _comparison(attrgetter("gained")),
    "lost": _comparison(attrgetter("lost")),
    "agreement": _comparison(attrgetter("agreement")),
    "latency_p50_us": _performance(attrgetter("latency_us.p50")),
    "latency_p50_low_us": _performance(lambda found: _low(found.latency_us.p50_interval)),
    "latency_p50_high_us": _performance(lambda found: _high(found.latency_us.p50_interval)),
    "latency_p90_us": _performance(attrgetter("latency_us.p90")),
    "latency_p99_us": _performance(attrgetter("latency_us.p99")),
    "latency_ratio": _ratio(attrgetter("median")),
    "latency_ratio_low": _ratio(lambda ratio: _low(ratio.interval)),
    "latency_ratio_high": _ratio(lambda ratio: _high(ratio.interval)),
    "latency_ratio_to": _ratio(attrgetter("to")),
    "latency_ratio_is_noise": _ratio(attrgetter("is_noise")),
    "inferences": _performance(attrgetter("latency_us.n")),
    "stable": _performance(attrgetter("stable")),
    "overhead_us": _performance(attrgetter("overhead_us")),
    "load_ms": _performance(attrgetter("load_ms")),
    "first_us": _performance(attrgetter("first_us")),
    "arena_bytes": _row("arena_bytes"),
    "memory_bytes": _performance(attrgetter("memory_bytes")),
    "peak_rss_bytes": _performance(attrgetter("peak_rss_bytes")),
    "may_saturate": _row("may_saturate"),
    "flips": _row("flips"),
    **{
        f"latency_p{percent}_us": _percentile(number)
        for number, percent in enumerate(range(0, 101, 5))
        if percent not in (50, 90)
    },
    "on_pareto_front": lambda entry: entry.on_front,
    "within_budget": lambda entry: entry.within_budget,
    "violations": lambda entry: ", ".join(violation.limit for violation in entry.violations),
}
