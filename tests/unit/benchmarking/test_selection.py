"""Selection of the best file: noise does not decide, the cheaper of equal files wins, and guessing never does."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Latency, Measured, Row
from edgesqz.benchmarking.selection import Selection
from tests.rows import evaluated, failed, measured, performance
from tests.rows import report as rows_report


def row(
    name: str, correct: int, size_bytes: int = 1000, p50: float | None = 100, *, shift: int = 0, **others: Any
) -> Measured:
    """A file that classifies ``correct`` images correctly, beginning with image number ``shift``."""
    return measured(name, None, p50, **({"size_bytes": size_bytes, "evaluation": evaluated(correct, shift)} | others))


def report(*rows: Row, quota: str | None = None) -> Report:
    return rows_report(*rows, max_size=quota)


def choose(rows: list[Measured]) -> Selection:
    return report(*rows).selection


def test_a_significantly_more_accurate_file_is_chosen() -> None:
    found = choose([row("good", 900, 100, 10), row("best", 950, 1000, 100)])
    assert (found.chosen, found.note) == ("best", "the highest accuracy, 95.00%")
    assert found.reasons == {"good": "accuracy 90.00%, best has 95.00% (p < 0.001)"}


def test_without_a_significant_difference_the_cheaper_is_chosen_and_the_reason_says_so() -> None:
    found = choose([row("best", 903, 2000, 200), row("cheap", 900, 1000, 100)])
    assert found.chosen == "cheap"
    assert found.note == (
        "accuracy 90.00%, not significantly below the highest, 90.30% of best (1,000 images, p = 0.250); "
        "1.0 kB and 100.0 µs against 2.0 kB and 200.0 µs"
    )
    assert found.reasons == {
        "best": "accuracy 90.30%, the highest but not significantly so; "
        "cheap costs less, 1.0 kB and 100.0 µs against 2.0 kB and 200.0 µs"
    }


def test_a_slightly_smaller_and_eighty_times_slower_file_is_not_chosen() -> None:
    found = choose([row("int16x8", 900, 98_000, 8000), row("int8", 899, 99_000, 100)])
    assert found.chosen == "int8"


def test_significance_depends_on_which_images_differ() -> None:
    """The test compares individual images, so a difference of 20 in 1,000 can be significant or not."""
    assert choose([row("best", 920), row("cheap", 900, 10, 1)]).chosen == "best"
    assert choose([row("best", 920), row("cheap", 900, 10, 1, shift=500)]).chosen == "cheap"


def test_files_without_timing_are_chosen_by_size_after_those_with_timing() -> None:
    assert choose([row("large", 900, 900, None), row("small", 900, 500, None)]).chosen == "small"
    assert choose([row("small", 900, 500, None), row("timed", 900, 900)]).chosen == "timed"


def test_a_file_no_better_than_guessing_is_never_chosen() -> None:
    found = choose([row("ruined", 110)])
    assert (found.chosen, found.note) == (None, "no file is significantly better than guessing")
    assert found.reasons == {"ruined": "accuracy 11.00%, not significantly better than guessing (1,000 images)"}
    assert choose([row("ruined", 110, 1, 1), row("fine", 900)]).chosen == "fine"


def test_limits_come_first() -> None:
    found = report(
        row("large", 950, 2000), row("fits", 900), row("untrained", 900, evaluation=None), quota="1kB"
    ).selection
    assert (found.chosen, found.note) == ("fits", "the highest accuracy, 90.00%")
    assert found.reasons == {"large": "size 2.0 kB, at most 1.0 kB", "untrained": "no accuracy"}


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([row("large", 950, 2000)], "no file is within the budget"),
        ([row("unlabeled", 900, evaluation=None)], "no file has an accuracy"),
        ([failed("broken")], "no file is within the budget"),
    ],
)
def test_if_no_file_can_be_chosen_the_note_says_why(rows: list[Row], note: str) -> None:
    found = report(*rows, quota="1kB").selection
    assert (found.chosen, found.note) == (None, note)
    assert report(*rows, quota="1kB").choice()[0] == f"chosen: none; {note}"


def test_a_file_on_two_engines_has_two_labels() -> None:
    here, older = row("m.tflite", 900, 1000, 100), row("m.tflite", 900, 1000, 200, runtime_version="2.0")
    found = report(here, older).selection
    assert found.chosen == "m.tflite on litert 2.3"
    assert list(found.reasons) == ["m.tflite on litert 2.0"]


def test_the_choice_is_in_the_json_and_in_the_csv() -> None:
    found = report(row("good", 900, 100, 10), row("best", 950))
    as_data = json.loads(found.to_json())
    assert as_data["selection"]["chosen"] == "best" == as_data["rows"][1]["label"]
    assert list(as_data["selection"]["reasons"]) == ["good"]
    good, best = csv.DictReader(io.StringIO(found.to_csv()))
    assert (good["chosen"], best["chosen"], best["not_chosen"]) == ("False", "True", "")
    assert good["not_chosen"] == found.selection.reasons["good"]


def test_the_csv_has_one_value_per_cell() -> None:
    latency = Latency(5, 6, 7, 9, tuple(map(float, range(21))), (4, 6))
    found = report(row("m.tflite", 900, performance=performance(5, latency_us=latency)))
    (cells,) = csv.DictReader(io.StringIO(found.to_csv()))
    assert not [value for value in cells.values() if value.startswith(("(", "[", "{"))]
    interval = (cells[f"latency_p50_{end}_us"] for end in ("low", "high"))
    assert [*map(float, interval)] == [4, 6]
    percentiles = (cells[f"latency_p{each}_us"] for each in (0, 100))
    assert [*percentiles] == ["0.0", "20.0"]
    assert cells["class_accuracy.7"] == "0.9"


def test_only_named_files_are_reported_to_miss_the_budget_or_to_fail() -> None:
    rows = (row("named", 900, 2000, named=True), row("along", 900, 2000), row("fine", 900, 100, named=True))
    broken = failed("failed", named=True)
    assert report(*rows, broken, quota="1kB").misses() == ["named: size 2.0 kB, at most 1.0 kB"]
    assert not report(*rows, failed("along too")).named_file_failed
    assert report(*rows, broken).named_file_failed
    assert report(failed("along")).named_file_failed
