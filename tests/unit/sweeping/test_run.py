"""A dry run of a sweep, which needs neither images nor Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgesqz
from edgesqz import data

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
