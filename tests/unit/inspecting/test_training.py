"""The training run of a model file in an inspection, from its manifest."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgesqz.artifact import ZOO, Manifest
from edgesqz.inspecting import inspection, training
from edgesqz.inspecting.inspection import Contents, Inspection
from edgesqz.workspace import manifest_path

CONTENTS = Contents((), (), {}, 0, (), {})
FACTS: dict[str, Any] = {
    "recipe": {"model": "digits", "dataset": "photos", "epochs": 20, "batch_size": 128, "seed": 0, "weight_decay": 0.1},
    "validation_accuracy": 0.905,
    "validation_images": 200,
    "minutes": 1.5,
    "history": [{"loss": 1 / epoch, "learning_rate": 0.1} for epoch in range(1, 21)],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of the zoo with a training run that is easy to recognize."""
    path = tmp_path / "squeezenet-nano.keras"
    path.write_bytes((ZOO / path.name).read_bytes())
    manifest = Manifest.model_validate_json(manifest_path(ZOO / path.name).read_text(encoding="utf-8"))
    changed = manifest.model_copy(update={"training": FACTS})
    manifest_path(path).write_text(changed.model_dump_json(), encoding="utf-8")
    return path


def inspected(path: Path) -> Inspection:
    return inspection.inspection(path, path.read_bytes(), CONTENTS)


def shown(found: Inspection) -> str:
    terminal = io.StringIO()
    Console(file=terminal, width=160, color_system=None).print(found.table())
    return " ".join(terminal.getvalue().split())


def test_the_table_shows_the_values_of_the_recipe_that_matter_and_ten_epochs(model: Path) -> None:
    text = shown(inspected(model))
    assert "training model digits dataset photos epochs 20 batch size 128 weight decay 0.1 minutes 1.5" in text
    assert "validation accuracy 90.50% of 200 images" in text
    assert "seed" not in text  # has its default
    assert "epoch loss rate" in text and " 1 1.000 0.1 " in text and " 20 0.050 0.1 " in text
    assert text.endswith("10 more epochs; --json shows all")


def test_the_json_contains_every_epoch(model: Path) -> None:
    assert json.loads(inspected(model).to_json())["training"] == FACTS


def test_a_file_without_a_manifest_has_no_training_run(model: Path) -> None:
    manifest_path(model).unlink()
    found = inspected(model)
    assert (found.training, found.warnings) == (None, ())
    assert "training" not in shown(found)


def test_a_manifest_of_another_file_is_a_warning(model: Path) -> None:
    model.write_bytes(b"retrained")
    found = inspected(model)
    assert found.training is None
    assert "does not match its manifest" in found.warnings[0]


@pytest.mark.parametrize("facts", [{}, {"recipe": {}}, {"history": []}, {"minutes": 2.0}])
def test_facts_may_be_missing(facts: dict[str, Any]) -> None:
    assert list(training.summary(facts)) == ([("minutes", "2.0")] if facts == {"minutes": 2.0} else [])


def test_another_model_is_named_by_its_file_and_its_checksum() -> None:
    facts = {"recipe": {"teacher": "95ae"}, "models": {"teacher": "boss.int8.onnx"}}
    assert list(training.summary(facts)) == [("teacher", "boss.int8.onnx, SHA-256 95ae")]
    assert list(training.summary({"recipe": {"teacher": "95ae"}})) == [("teacher", "95ae")]
