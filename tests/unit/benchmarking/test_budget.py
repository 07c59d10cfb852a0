"""Budgets: what they read, what misses them, and which file is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.benchmarking.budget import Budget, pareto_front, parse_microseconds
from edgesqz.benchmarking.report import Latency, Row


def row(name: str, size_bytes: int = 1000, accuracy: float | None = 0.9, p50: float = 100, **others: Any) -> Row:
    figures: dict[str, Any] = {
        "latency_us": Latency(p50, p50, p50, 1, (p50,) * 21),
        "memory_bytes": 50_000_000,
    } | others
    return Row(name, "tflite", "int8", "litert", "2.3", size_bytes, size_bytes, 1, accuracy=accuracy, **figures)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("2ms", 2000), ("500us", 500), ("500 µs", 500), ("0.01s", 10_000), (".5ms", 500), ("1e-3s", 1000), ("5μs", 5)],
)
def test_times_are_read_with_their_unit(text: str, microseconds: float) -> None:
    assert parse_microseconds(text) == pytest.approx(microseconds)


@pytest.mark.parametrize(
    "text", ["2", "ms", "-1ms", "0ms", "2 minutes", "nan ms", "inf s", "2ms!", "2 ms 3", "٢ms", ""]
)
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(EdgesqzError, match="expected a time above zero such as 2ms"):
        parse_microseconds(text)


@pytest.mark.parametrize(("text", "form"), [("1,5ms", "1.5ms"), ("1,000us", "1000us")])
def test_the_right_form_of_a_time_with_separators_is_told(text: str, form: str) -> None:
    with pytest.raises(EdgesqzError, match=f"got {text!r}; write {form}$"):
        parse_microseconds(text)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_size": "much"}, "expected a size"),
        ({"max_memory": "-1"}, "expected a size"),
        ({"max_latency": "fast"}, "expected a time"),
        ({"min_accuracy": 90}, "min_accuracy must be from 0 to 1, got 90"),
        ({"min_accuracy": float("nan")}, "min_accuracy must be"),
        ({"max_accuracy_drop": -1}, "max_accuracy_drop must be from 0 to 100"),
    ],
)
def test_limits_out_of_range_are_told(limits: dict[str, Any], told: str) -> None:
    with pytest.raises(EdgesqzError, match=told):
        Budget.parse(**limits)


def test_without_limits_there_is_nothing_to_miss() -> None:
    assert Budget.parse().missed_by(row("a")) is None
    assert Budget().told() == ""


LIMITS: dict[str, Any] = {
    "max_size": "1kB",
    "max_latency": "100us",
    "max_memory": "50MB",
    "min_accuracy": 0.9,
    "max_accuracy_drop": 0.5,
}


def test_what_just_meets_every_limit_misses_none() -> None:
    assert Budget.parse(**LIMITS).missed_by(row("a", accuracy_drop_pp=0.5)) == ()


def test_each_limit_that_is_missed_is_told_with_both_figures() -> None:
    poor = row("a", 1100, 0.8911, 250.04, memory_bytes=64_000_000, accuracy_drop_pp=0.61)
    assert Budget.parse(**LIMITS).missed_by(poor) == (
        "size 1.1 kB, at most 1.0 kB",
        "latency 250.0 µs, at most 100.0 µs",
        "memory 64.0 MB, at most 50.0 MB",
        "drop 0.61 pp, at most 0.50 pp",
        "accuracy 89.11%, at least 90.00%",
    )
    assert Budget.parse(**LIMITS).told() == (
        "size 1.0 kB, latency 100.0 µs, memory 50.0 MB, accuracy 90.00%, drop 0.50 pp"
    )


def test_the_memory_of_an_engine_that_works_in_an_arena_is_the_arena() -> None:
    budget = Budget.parse(max_memory="100kB")
    assert budget.missed_by(row("a", memory_bytes=None, arena_bytes=100_000)) == ()
    assert budget.missed_by(row("a", memory_bytes=None, arena_bytes=100_001)) == ("memory 100.0 kB, at most 100.0 kB",)


def test_what_is_unknown_meets_no_limit() -> None:
    unknown = row("a", accuracy=None, latency_us=None, memory_bytes=None)
    missed = Budget.parse(**LIMITS).missed_by(unknown)
    assert missed == ("latency unknown", "memory unknown", "drop unknown", "accuracy unknown, at least 90.00%")
    assert Budget.parse(max_size="1kB").missed_by(row("a", error="died")) == ("failed",)


def test_the_front_are_those_that_no_other_beats() -> None:
    rows = [
        row("accurate", 1000, 0.95, 300),
        row("fast", 900, 0.9, 100),
        row("small", 500, 0.9, 200),
        row("beaten", 950, 0.9, 100),
        row("twin", 500, 0.9, 200),
        row("unknown", 1, None, 1),
    ]
    assert [each.artifact for each in pareto_front(rows)] == ["accurate", "fast", "small", "twin"]
