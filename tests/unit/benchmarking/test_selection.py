"""Which file to take: noise does not choose, the cheaper of equals does, and guessing never wins."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest

from edgesqz.benchmarking.accuracy import graded
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.report import Latency, Report, Row
from edgesqz.benchmarking.selection import select
from edgesqz.machine import Machine

IMAGES = 1000


def row(
    name: str, right: int, size_bytes: int = 1000, p50: float | None = 100, *, shift: int = 0, **others: Any
) -> Row:
    """A file of ten classes that has ``right`` of the images right, beginning with image number ``shift``."""
    labels = np.arange(IMAGES) % 10
    correct = np.isin(np.arange(IMAGES), np.arange(shift, shift + right) % IMAGES)
    predicted = np.where(correct, labels, (labels + 1) % 10)
    latency = None if p50 is None else Latency(p50, p50, p50, 1, (p50,) * 21)
    figures = graded(np.eye(10)[predicted], labels, None) | {"latency_us": latency} | others
    row = Row(name, "tflite", "int8", "litert", "2.3", size_bytes, size_bytes, 1)
    return dataclasses.replace(row, **figures)


def report(*rows: Row, quota: str | None = None) -> Report:
    budget = Budget.parse(max_size=quota)
    judged = tuple(dataclasses.replace(each, missed=budget.missed_by(each)) for each in rows)
    dataset = {"name": "digits", "split": "test", "images": IMAGES, "labels": tuple("0123456789")}
    return Report(Machine("A processor"), {}, dataset, budget, judged)


def test_the_most_accurate_is_chosen_where_the_images_can_tell() -> None:
    found = select([row("good", 900, 100, 10), row("best", 950, 1000, 100)])
    assert (found.chosen, found.note) == ("best", "the highest accuracy, 95.00%")
    assert found.reasons == {"good": "accuracy 90.00%, best has 95.00% (p < 0.001)"}


def test_within_noise_the_cheaper_is_chosen_and_the_reason_says_so() -> None:
    found = select([row("best", 903, 2000, 200), row("cheap", 900, 1000, 100)])
    assert found.chosen == "cheap"
    assert found.note == (
        "accuracy 90.00%, which 1,000 images cannot tell from the highest, 90.30% of best (p = 0.250); "
        "1.0 kB and 100.0 µs against 2.0 kB and 200.0 µs"
    )
    assert found.reasons == {
        "best": "accuracy 90.30%, no better for certain than cheap; 2.0 kB and 200.0 µs against 1.0 kB and 100.0 µs"
    }


def test_a_hair_smaller_and_eighty_times_slower_does_not_win() -> None:
    found = select([row("int16x8", 900, 98_000, 8000), row("int8", 899, 99_000, 100)])
    assert found.chosen == "int8"


def test_as_many_correct_on_other_images_is_not_the_same_as_noise() -> None:
    """The test looks at the images, not at the two shares: 20 of 1,000 apart may be noise, or not."""
    assert select([row("best", 920), row("cheap", 900, 10, 1)]).chosen == "best"
    assert select([row("best", 920), row("cheap", 900, 10, 1, shift=500)]).chosen == "cheap"


def test_files_without_a_clock_are_chosen_by_size_after_those_with_one() -> None:
    assert select([row("large", 900, 900, None), row("small", 900, 500, None)]).chosen == "small"
    assert select([row("small", 900, 500, None), row("timed", 900, 900)]).chosen == "timed"


def test_what_cannot_be_told_from_guessing_is_never_chosen() -> None:
    found = select([row("ruined", 110)])
    assert (found.chosen, found.note) == (None, "no file is better than guessing for certain")
    assert found.reasons == {"ruined": "accuracy 11.00%, which 1,000 images cannot tell from guessing"}
    assert select([row("ruined", 110, 1, 1), row("fine", 900)]).chosen == "fine"


def test_limits_come_first() -> None:
    found = report(
        row("large", 950, 2000), row("fits", 900), row("untrained", 900, correct=None), quota="1kB"
    ).selection
    assert (found.chosen, found.note) == ("fits", "the highest accuracy, 90.00%")
    assert found.reasons == {"large": "size 2.0 kB, at most 1.0 kB", "untrained": "no accuracy"}


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([row("large", 950, 2000)], "no file is within the budget"),
        ([row("unlabelled", 900, correct=None)], "no file has an accuracy"),
        ([row("broken", 900, error="died")], "no file is within the budget"),
    ],
)
def test_where_none_can_be_chosen_it_is_told_why(rows: list[Row], note: str) -> None:
    found = report(*rows, quota="1kB").selection
    assert (found.chosen, found.note) == (None, note)
    assert report(*rows, quota="1kB").choice()[0] == f"chosen: none; {note}"


def test_a_file_on_two_engines_is_told_apart() -> None:
    here, older = row("m.tflite", 900, 1000, 100), row("m.tflite", 900, 1000, 200, runtime_version="2.0")
    found = report(here, older).selection
    assert found.chosen == "m.tflite on litert 2.3"
    assert list(found.reasons) == ["m.tflite on litert 2.0"]


def test_the_choice_stands_in_the_json_and_in_the_csv() -> None:
    found = report(row("good", 900, 100, 10), row("best", 950))
    as_data = json.loads(found.to_json())
    assert as_data["selection"]["chosen"] == "best" == as_data["rows"][1]["label"]
    assert list(as_data["selection"]["reasons"]) == ["good"]
    good, best = csv.DictReader(io.StringIO(found.to_csv()))
    assert (good["chosen"], best["chosen"], best["not_chosen"]) == ("False", "True", "")
    assert good["not_chosen"] == found.selection.reasons["good"]


def test_the_csv_has_one_value_a_cell() -> None:
    found = report(row("m.tflite", 900, latency_us=Latency(5, 6, 7, 9, tuple(map(float, range(21))), (4, 6))))
    (cells,) = csv.DictReader(io.StringIO(found.to_csv()))
    assert not [value for value in cells.values() if value.startswith(("(", "[", "{"))]
    assert (cells["latency_us.p50_interval.low"], cells["latency_us.p50_interval.high"]) == ("4", "6")
    assert (cells["latency_us.every_5th.0"], cells["latency_us.every_5th.100"]) == ("0.0", "20.0")
    assert cells["class_accuracies.7"] == "0.9"


def test_only_named_files_are_told_to_miss_the_budget_or_to_fail() -> None:
    rows = (row("named", 900, 2000, named=True), row("along", 900, 2000), row("fine", 900, 100, named=True))
    failed = row("failed", 900, named=True, error="died")
    assert report(*rows, failed, quota="1kB").misses() == ["named: size 2.0 kB, at most 1.0 kB"]
    assert not report(*rows, row("along too", 900, error="died")).named_file_failed
    assert report(*rows, failed).named_file_failed
    assert report(row("along", 900, error="died")).named_file_failed
