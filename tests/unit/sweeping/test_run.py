"""A dry run of a sweep, which needs neither images nor Ray."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import edgesqz
from edgesqz import data
from edgesqz.sweeping.keeper import Record, record_path

SPACE = {"network": {"stem": [8, 12, 16], "stage1": {"fires": 2, "squeeze": [4, 8], "expand": 16}}}


@pytest.mark.parametrize(("dataset", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_a_dry_run_needs_no_images(dataset: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("reads images")

    monkeypatch.setattr(data, "load", refuse)
    found = edgesqz.sweep(SPACE, dataset=dataset, workspace=tmp_path / "none", search="grid", dry_run=True)
    assert len(found.trials) == 6
    least = min(trial.costs.parameters for trial in found.trials)
    assert least == edgesqz.params("squeezenet-8p-4x16x2", classes=classes)[0].parameters


def test_a_dry_run_of_a_resumed_sweep_lists_what_is_left(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": "cifar10", "search": "grid", "seed": 0, "all_epochs": False, "space": SPACE}
    limits = dict.fromkeys(("max_size", "max_macs", "max_arena", "quota", "trials"))
    trials = edgesqz.sweep(SPACE, search="grid", workspace=tmp_path, dry_run=True).trials
    ended = [dataclasses.replace(trial, state="finished") for trial in trials]
    for left, caption in ((2, "2 candidates within the limits"), (0, "all trials have ended")):
        record = Record(options | limits, (*ended[left:], *trials[:left]))
        record_path(tmp_path, "sweep").write_text(record.to_json())
        found = edgesqz.sweep(resume=True, workspace=tmp_path, dry_run=True)
        assert len(found.trials) == left
        assert found.table().caption.startswith(caption)


def test_only_values_of_the_recipe_that_differ_are_in_the_table_of_a_sweep(tmp_path: Path) -> None:
    recipe = {"epochs": 3, "learning_rate": [0.1, 0.2]}
    planned = edgesqz.sweep({**SPACE, "recipe": recipe}, search="grid", workspace=tmp_path, dry_run=True)
    ended = [dataclasses.replace(trial, state="failed", reason="the loss became nan") for trial in planned.trials]
    lines = dataclasses.replace(planned, trials=tuple(ended)).table().lines(200)
    assert len([line for line in lines if "learning_rate 0.1" in line]) == len(ended) / 2
    assert not any("epochs" in line for line in lines)
    alike = [trial for trial in ended if trial.values["recipe.learning_rate"] == 0.1]
    assert "recipe" not in [column.head for column in dataclasses.replace(planned, trials=tuple(alike)).table().columns]
