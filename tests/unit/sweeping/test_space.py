from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.space import TEMPLATE, Space, known_knobs, read_sections
from edgesqz.training.spec import RECIPE

STAGE = {"fires": 2, "squeeze": [8, 16], "expand": 32}


def space(**sections: Any) -> Space:
    return Space.parse({"network": {"stem": 8, "stage1": STAGE}, **sections})


def test_the_template_is_a_valid_space() -> None:
    found = Space.parse(tomllib.loads(TEMPLATE))
    generator = np.random.default_rng(0)
    for _ in range(20):
        candidate = found.sample(generator)
        assert candidate.model.startswith("squeezenet-")
        assert candidate.recipe["epochs"] == 3
        assert 0.05 <= float(candidate.recipe["learning_rate"]) <= 0.4


def test_a_grid_has_every_combination_once() -> None:
    found = space(recipe={"learning_rate": [0.1, 0.2], "epochs": {"low": 1, "high": 3}})
    assert len(list(found.grid())) == 2 * 2 * 3


def test_fine_tuning_has_knobs() -> None:
    found = space(recipe={"init": "squeezenet-nano", "freeze": {"low": 0, "high": 3}})
    assert {candidate.recipe["freeze"] for candidate in found.grid()} == {0, 1, 2, 3}


def test_all_of_a_recipe_are_knobs() -> None:
    found = space(recipe={"optimizer": ["sgd", "muon"], "average": [0, 0.995], "branches": [True, False]})
    assert {name for name in known_knobs() if name.startswith("recipe.")} == {f"recipe.{name}" for name in RECIPE}
    assert len(list(found.grid())) == 2 * 2**3  # with the two widths of the stage
    comment = TEMPLATE.partition("[recipe]")[2].partition("[export]")[0]
    assert all(re.search(rf"\b{name}\b", comment) for name in RECIPE)


def test_knobs_of_a_stage_without_fire_modules_make_no_difference() -> None:
    found = space(network={"stem": 8, "stage1": STAGE, "stage2": {"fires": [0], "squeeze": [4, 8], "expand": 16}})
    assert len(list(found.grid())) == 2


def test_a_range_without_a_step_has_no_grid() -> None:
    found = space(recipe={"learning_rate": {"low": 0.1, "high": 0.2}})
    with pytest.raises(EdgesqzError, match=r"recipe\.learning_rate a step"):
        list(found.grid())


def test_a_logarithmic_range_is_sampled_uniformly_in_its_logarithm() -> None:
    found = space(recipe={"weight_decay": {"low": 1e-4, "high": 1e-2, "log": True}})
    generator = np.random.default_rng(0)
    values = [float(found.sample(generator).recipe["weight_decay"]) for _ in range(400)]
    assert min(values) >= 1e-4 and max(values) <= 1e-2
    assert 0.35 < np.mean(np.array(values) < 1e-3) < 0.65


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "the space is empty"),
        ({"recipe": {"epochs": 1}}, "the space has no network"),
        ({"network": {"modle": ["squeezenet"]}}, "did you mean network.model"),
        ({"network": {"stem": 8}}, "starting from network.stage1"),
        ({"network": {"stage1": STAGE}}, "add network.stem"),
        ({"network": {"model": []}}, "expected a value, a list of values or a range for network.model"),
        ({"network": {"model": "digits", "stem": 8}}, "network.model cannot be combined with network.stem"),
        ({"network": {"model": "digits"}, "recipe": {"seed": {"low": 3, "high": 1}}}, "low <= high"),
        ({"network": {"model": "digits"}, "recipe": {"seed": {"low": 3}}}, "expected a range such as"),
        ({"network": {"model": "digits"}, "recipe": {"weight_decay": {"low": 0, "high": 1, "log": True}}}, "low > 0"),
        ({"network": {"model": "digits"}, "export": {"variant": 8}}, "expected a name or a list of names"),
        (
            {"network": {"model": "digits"}, "recipe": {"optimizer": ["sgd", "adam"]}},
            "optimizer: unknown optimizer 'ad",
        ),
        ({"network": {"model": "digits"}, "recipe": {"average": {"low": 0.9, "high": 1}}}, "and below 1, got 1"),
        ({"network": {"model": [3]}}, "expected text for network.model, got 3"),
        ({"network": {"model": "digits"}, "recipe": {"epochs": [2, 2.5]}}, "expected an integer for recipe.epochs, "),
        ({"network": {"model": "digits"}, "recipe": {"freeze": {"low": 0.5, "high": 3}}}, "an integer for recipe.fr"),
        ({"network": {"model": "digits"}, "recipe": {"branches": {"low": 0, "high": 1}}}, "expected true or false "),
    ],
)
def test_invalid_spaces_are_rejected(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        Space.parse(sections)


def test_a_file_is_read_and_its_errors_name_it(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(TEMPLATE)
    assert read_sections(path) == tomllib.loads(TEMPLATE)
    path.write_text("[network")
    with pytest.raises(EdgesqzError, match="expected TOML in .*space.toml"):
        read_sections(path)
    with pytest.raises(EdgesqzError, match="sweep --template"):
        read_sections(tmp_path / "none.toml")
