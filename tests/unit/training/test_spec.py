"""A specification gives train the network and the recipe of a sweep's best trial."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.training.plan import Train
from edgesqz.training.recipe import Recipe
from edgesqz.training.spec import NETWORK, RECIPE, read_spec

NAME = "squeezenet-16p-16x48x2-16x80x3"


def spec(folder: Path, text: str) -> Path:
    path = folder / "best.toml"
    path.write_text(text)
    return path


def test_train_uses_the_specification(tmp_path: Path) -> None:
    path = spec(
        tmp_path, f'[network]\nmodel = "{NAME}"\ninput_size = "32"\n[recipe]\nlearning_rate = 0.3\nepochs = 2\n'
    )
    plan = Train(spec=path)
    assert plan.model_name == NAME
    assert plan.chosen == {"model": NAME, "input_size": 32, "learning_rate": 0.3, "epochs": 2}


def test_options_override_the_specification(tmp_path: Path) -> None:
    path = spec(tmp_path, f'[network]\nmodel = "{NAME}"\n[recipe]\nepochs = 2\n')
    assert Train(spec=path, epochs=30).chosen["epochs"] == 30


def test_every_hyperparameter_can_be_set(tmp_path: Path) -> None:
    # A duration and the fastest precision depend on the machine; a sweep needs its validation split.
    recipe = {field.name for field in dataclasses.fields(Recipe)} - {"precision", "validation_split", "dataset"}
    options = {field.name for field in dataclasses.fields(Train)}
    assert {*NETWORK, *RECIPE} == recipe & options
    text = '[recipe]\noptimizer = "muon"\naverage = 0.995\nbranches = true\n'
    assert Train(spec=spec(tmp_path, text)).chosen == {"optimizer": "muon", "average": 0.995, "branches": True}
    tuned = Train(spec=spec(tmp_path, '[recipe]\ninit = "squeezenet"\nquantize_aware = "int4"\nfreeze = 1\n'))
    assert (tuned.init, tuned.chosen) == ("squeezenet", {"quantize_aware": "int4", "freeze": 1})
    distilled = Train(spec=spec(tmp_path, '[recipe]\nteacher = "squeezenet"\nteacher_views = 20\n'))
    assert (distilled.teacher, distilled.chosen) == ("squeezenet", {"teacher_views": 20})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network", "expected TOML"),
        ("[recipe]\nepoch = 2", "unknown option recipe.epoch; did you mean epochs"),
        ("[recipe]\nepochs = [2, 3]", r"expected an integer for recipe.epochs, got \[2, 3\]"),
        ("[recipe]\nepochs = 2.5", "expected an integer for recipe.epochs, got 2.5"),
        ("[recipe]\nepochs = true", "expected an integer for recipe.epochs, got True"),
        ("[recipe]\naverage = 'x'", "expected a number for recipe.average, got 'x'"),
        ("[recipe]\nbranches = 'no'", "expected true or false for recipe.branches, got 'no'"),
        ("[network]\nmodel = 3", "expected text for network.model, got 3"),
        ("[export]\nvariant = 'int8'", r"expected the sections \[network\] and \[recipe\], got export"),
        ("network = 3", r"expected a section \[network\], got network = 3"),
    ],
)
def test_an_invalid_specification_is_rejected(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=message):
        read_spec(spec(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot read the specification .*none.toml"):
        read_spec(tmp_path / "none.toml")
