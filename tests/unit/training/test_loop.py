"""What a training run prints before its first epoch."""

from __future__ import annotations

import io
import types
from typing import Any

import pytest
from rich.console import Console

from edgesqz.training.loop import TrainingRun
from edgesqz.training.recipe import Recipe


@pytest.mark.parametrize("division", [None, "no train/ and test/ subfolders; …"])
def test_the_lines_on_the_dataset_come_before_the_number_of_steps(division: str | None) -> None:
    shown = io.StringIO()
    dataset = types.SimpleNamespace(test_images=3, division=division)
    images = types.SimpleNamespace(labels=("cat", "dog"), fitted=[0] * 10, validation=[0] * 2, dataset=dataset)
    run: Any = types.SimpleNamespace(
        name="mine",
        recipe=Recipe(model="squeezenet-nano", dataset="photos", epochs=3),
        images=images,
        steps=30,
        batch_size=1,
        init=None,
        teacher_line="",
        console=Console(file=shown),
    )
    TrainingRun.describe(run)
    first, *others, last = shown.getvalue().splitlines()
    assert first.startswith("mine: squeezenet-nano on photos, 2 classes (cat, dog); 10 images for training")
    assert others == ([f"photos: {division}"] if division else [])
    assert last.startswith("30 steps in 3 epochs")
