"""The options of train: checks before any file is read, and the options that go into the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.command import fields
from edgesqz.training import Train


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model": "resnet"}, "unknown model 'resnet'; choose from squeezenet"),
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"seconds": 0}, "seconds must be above 0, got 0"),
        ({"seconds": 60, "epochs": 3}, "seconds decides the number of steps; remove epochs"),
        ({"seconds": 60, "resume": True}, "seconds decides the number of steps; remove resume"),
        ({"teacher": "squeezenet", "label_smoothing": 0.0}, "teacher replaces the labels; remove label_smoothing"),
        ({"name": "mine.int8"}, "name must be at most 64 letters, digits, hyphens and underscores"),
        ({"input_size": "0x3"}, "expected an image size"),
    ],
)
def test_errors_name_the_bad_option(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(EdgesqzError, match=problem):
        Train(**options)


def test_the_recipe_gets_the_given_values() -> None:
    plan = Train("digits", Path("photos"), epochs=3, input_size="24x24", seed=0, teacher="squeezenet", name="mine")
    assert plan.chosen == {"model": "digits", "dataset": "photos", "epochs": 3, "input_size": 24, "seed": 0}
    assert plan.model_name == "mine"
    assert Train().model_name == "squeezenet"


def test_every_option_has_a_panel_and_whole_sentences() -> None:
    options = list(fields(Train))
    assert {option.panel for option in options} == {"Model", "Data", "Training", "Cluster", "Output", "Workspace"}
    assert all(option.option.help.endswith(".") for option in options)
    assert [option.name for option in options][:2] == ["model", "dataset"]
