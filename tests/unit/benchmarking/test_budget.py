"""Budgets: parsing, violations, and the Pareto front."""

from __future__ import annotations

from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.benchmarking.budget import Budget, Violation, parse_microseconds
from edgesqz.benchmarking.entries import entries, pareto_front
from edgesqz.benchmarking.rows import Measured
from edgesqz.benchmarking.wording import describe_budget, describe_violation
from tests.rows import comparison, failed, measured, performance


def row(name: str = "a", size_bytes: int = 1000, p50: float = 100, drop: float = 0, **others: Any) -> Measured:
    """A file with a top-1 accuracy of 0.9."""
    compared = comparison(accuracy_drop_pp=drop)
    return measured(name, 900, p50, **({"size_bytes": size_bytes, "comparison": compared} | others))


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("2ms", 2000), ("500us", 500), ("500 µs", 500), ("0.01s", 10_000), (".5ms", 500), ("1e-3s", 1000), ("5μs", 5)],
)
def test_times_are_read_with_their_unit(text: str, microseconds: float) -> None:
    assert parse_microseconds(text) == pytest.approx(microseconds)


@pytest.mark.parametrize(
    "text", ["2", "ms", "-1ms", "0ms", "2 minutes", "nan ms", "inf s", "2ms!", "2 ms 3", "٢ms", ""]
)
def test_an_invalid_time_is_reported(text: str) -> None:
    with pytest.raises(EdgesqzError, match="expected a time above zero such as 2ms"):
        parse_microseconds(text)


@pytest.mark.parametrize(("text", "form"), [("1,5ms", "1.5ms"), ("1,000us", "1000us")])
def test_the_correct_form_of_a_time_with_separators_is_suggested(text: str, form: str) -> None:
    with pytest.raises(EdgesqzError, match=f"got {text!r}; write {form}$"):
        parse_microseconds(text)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_size": "much"}, "expected a size"),
        ({"max_memory": "-1"}, "expected a size"),
        ({"max_latency": "fast"}, "expected a time"),
        ({"min_accuracy": 90}, "min_accuracy must be from 0 to 1, got 90"),
        ({"min_accuracy": float("nan")}, "min_accuracy must be"),
        ({"max_accuracy_drop": -1}, "max_accuracy_drop must be from 0 to 100"),
    ],
)
def test_limits_out_of_range_are_reported(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        Budget.parse(**limits)


def test_without_limits_nothing_is_violated() -> None:
    assert Budget.parse().violations(row()) == ()
    assert describe_budget(Budget()) == ""


LIMITS: dict[str, Any] = {
    "max_size": "1kB",
    "max_latency": "100us",
    "max_memory": "50MB",
    "min_accuracy": 0.9,
    "max_accuracy_drop": 0.5,
}


def test_a_file_exactly_at_every_limit_violates_none() -> None:
    assert Budget.parse(**LIMITS).violations(row(drop=0.5)) == ()


def test_each_violated_limit_is_reported_with_both_values() -> None:
    poor = measured(
        "a",
        891,
        None,
        size_bytes=1100,
        performance=performance(250.04, memory_bytes=64_000_000),
        comparison=comparison(accuracy_drop_pp=0.61),
    )
    violations = Budget.parse(**LIMITS).violations(poor)
    assert violations[0] == Violation("size_bytes", 1100, 1000)
    assert [describe_violation(violation) for violation in violations] == [
        "size 1.1 kB, at most 1.0 kB",
        "latency 250.0 µs, at most 100.0 µs",
        "memory 64.0 MB, at most 50.0 MB",
        "accuracy 89.10%, at least 90.00%",
        "drop 0.61 pp, at most 0.50 pp",
    ]
    assert describe_budget(Budget.parse(**LIMITS)) == (
        "size 1.0 kB, latency 100.0 µs, memory 50.0 MB, accuracy 90.00%, drop 0.50 pp"
    )


@pytest.mark.parametrize(("arena_bytes", "missed"), [(100_000, ()), (100_001, ("memory_bytes",))])
def test_the_memory_of_an_engine_that_works_in_an_arena_is_the_arena(arena_bytes: int, missed: tuple[str, ...]) -> None:
    violations = Budget.parse(max_memory="100kB").violations(measured("a", p50=None, arena_bytes=arena_bytes))
    assert tuple(violation.limit for violation in violations) == missed


def test_unknown_values_meet_no_limit() -> None:
    unknown = Budget.parse(**LIMITS).violations(measured("a", None, None))
    assert [(violation.limit, violation.found) for violation in unknown] == [
        ("latency_us", None),
        ("memory_bytes", None),
        ("accuracy", None),
        ("accuracy_drop_pp", None),
    ]
    assert describe_violation(unknown[0]) == "latency unknown, at most 100.0 µs"
    (entry,) = entries([failed("a")], Budget(size_bytes=10**9))
    assert entry.within_budget is False


@pytest.mark.parametrize(("correct", "limits"), [(900, []), (None, ["accuracy_drop_pp"])])
def test_a_file_without_its_source_model_may_meet_a_limit_on_the_drop(correct: int | None, limits: list[str]) -> None:
    budget, alone = Budget.parse(max_accuracy_drop=0.5), measured("a", correct)
    (entry,) = entries([alone], budget, allows_unknown_drop=True)
    assert [violation.limit for violation in entry.violations] == limits
    assert [violation.limit for violation in budget.violations(alone)] == ["accuracy_drop_pp"]
    assert budget.violations(row(drop=0.6), allows_unknown_drop=True)


def test_the_front_are_those_that_no_other_beats() -> None:
    rows = [
        measured("accurate", 950, 300, size_bytes=1000),
        measured("fast", 900, 100, size_bytes=900),
        measured("small", 900, 200, size_bytes=500),
        measured("beaten", 900, 100, size_bytes=950),
        measured("twin", 900, 200, size_bytes=500),
        measured("unknown", None, 1, size_bytes=1),
    ]
    assert [each.artifact for each in pareto_front(rows)] == ["accurate", "fast", "small", "twin"]
