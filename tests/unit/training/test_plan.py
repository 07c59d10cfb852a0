"""The options of train: checks before any file is read, and the options that go into the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.command import fields
from edgesqz.training import Train
from edgesqz.workspace import OWN


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model": "resnet"}, "unknown model 'resnet'; choose from squeezenet"),
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"seconds": 0}, "seconds must be above 0, got 0"),
        ({"seconds": 60, "epochs": 3}, "seconds decides the number of steps; remove epochs"),
        ({"seconds": 60, "resume": True}, "seconds decides the number of steps; remove resume"),
        ({"teacher": "squeezenet", "label_smoothing": 0.0}, "teacher replaces the labels; remove label_smoothing"),
        ({"teacher": "squeezenet", "teacher_views": 0}, "teacher_views must be above 0, got 0"),
        ({"teacher_views": 3}, "teacher_views needs a teacher; set teacher"),
        ({"freeze": 2}, "freeze keeps trained weights; set init to a trained model"),
        ({"init": "squeezenet", "freeze": -1}, "freeze must be at least 0, got -1"),
        ({"init": "their.model.keras"}, "name must be at most 64 letters, .* got 'their.model'"),
        ({"name": "mine.int8"}, "name must be at most 64 letters, digits, hyphens and underscores"),
        ({"input_size": "0x3"}, "expected an image size"),
    ],
)
def test_errors_name_the_bad_option(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(EdgesqzError, match=problem):
        Train(**options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"plot": "curves.docx"}, "plot: expected a .png or .svg file, got curves.docx"),
        ({"plot": "missing/curves.png"}, "cannot write missing/curves.png; choose a file in an existing folder"),
        ({"tensorboard": "models/events"}, "tensorboard must be outside the workspace, got models/events"),
        ({"tensorboard": "models"}, "tensorboard must be outside the workspace, got models"),
        ({"tensorboard": "other/events"}, "tensorboard must be outside the workspace, got other/events"),
        ({"tensorboard": "file"}, "tensorboard: cannot write to file; choose a folder with write permission"),
        ({"tensorboard": "file/events"}, "tensorboard: cannot write to file/events; choose a folder"),
    ],
)
def test_curves_that_cannot_be_written_are_reported_before_training(
    options: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "other" / OWN).mkdir(parents=True)  # another workspace
    with pytest.raises(EdgesqzError, match=problem):
        Train(workspace="models", **options)


def test_checking_the_curves_writes_nothing(tmp_path: Path) -> None:
    Train(workspace="models", plot="curves.svg", tensorboard=tmp_path / "runs" / "1")
    assert not list(tmp_path.iterdir())


def test_the_recipe_gets_the_given_values() -> None:
    plan = Train("digits", Path("photos"), epochs=3, input_size="24x24", seed=0, teacher="squeezenet", name="mine")
    assert plan.chosen == {"model": "digits", "dataset": "photos", "epochs": 3, "input_size": 24, "seed": 0}
    assert plan.model_name == "mine"
    assert Train().model_name == "squeezenet"


def test_a_fine_tuned_model_gets_the_name_of_the_model_that_it_starts_from() -> None:
    plan = Train(init=Path("models/photos.keras"), freeze=2)
    assert plan.model_name == "photos"
    assert plan.chosen == {"freeze": 2}
    assert Train("squeezenet-nano", init="photos.keras").model_name == "squeezenet-nano"


def test_every_option_has_a_panel_and_whole_sentences() -> None:
    options = list(fields(Train))
    assert {option.panel for option in options} == {"Model", "Data", "Training", "Cluster", "Output", "Workspace"}
    assert all(option.option.help.endswith(".") for option in options)
    assert [option.name for option in options][:2] == ["model", "dataset"]
