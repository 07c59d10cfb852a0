"""The shared behavior of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgesqz.predicting import Guess, Prediction, Predictions
from edgesqz.results import Result
from edgesqz.tables import Column, Table


@dataclass(frozen=True, repr=False)
class Sizes(Result):
    folder: Path
    content: bytes
    sizes: tuple[int, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [{"size_bytes": size} for size in self.sizes]

    def table(self) -> Table:
        return Table([Column("<size>")], [[str(size)] for size in self.sizes])


def test_the_repr_is_short_and_contains_no_bytes() -> None:
    sizes = Sizes(Path("here"), b"x" * 5000, tuple(range(1000)))
    assert repr(sizes) == "Sizes(folder='here', content=<5,000 bytes>, sizes=<1000>)"


def test_a_notebook_shows_the_table_as_text() -> None:
    shown = Sizes(Path("here"), b"", (17,))._repr_html_()
    assert shown.startswith("<pre>&lt;size&gt;") and "17" in shown


@pytest.fixture
def predictions() -> Predictions:
    guesses = (Guess("cat", 0.75), Guess("dog", 0.25))
    return Predictions("m.tflite", (Prediction("a.png", guesses), Prediction("b.png", error="torn")))


def test_rows_are_records_of_plain_values(predictions: Predictions) -> None:
    assert predictions.records == [
        {"image": "a.png", "error": None, "label": "cat", "probability": 0.75},
        {"image": "a.png", "error": None, "label": "dog", "probability": 0.25},
        {"image": "b.png", "error": "torn", "label": None, "probability": None},
    ]


def test_to_dict_is_what_the_json_says(predictions: Predictions) -> None:
    assert predictions.to_dict()["images"][0]["guesses"][1] == {"label": "dog", "probability": 0.25}
