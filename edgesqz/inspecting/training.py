"""The training run of a .keras file, from its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgesqz.training.recipe import Recipe

ALWAYS_SHOWN = ("model", "dataset", "epochs", "batch_size", "learning_rate")


def summary(training: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the results, and the values of the recipe that are essential or differ from their defaults, as rows."""
    files = training.get("models", {})
    for name, value in training.get("recipe", {}).items():
        if name in ALWAYS_SHOWN or value != getattr(Recipe, name, None):
            yield name.replace("_", " "), f"{files[name]}, SHA-256 {value}" if name in files else str(value)
    if "minutes" in training:
        yield "minutes", f"{training['minutes']:,}"
    if (accuracy := training.get("validation_accuracy")) is not None:
        yield "validation accuracy", f"{accuracy:.2%} of {training['validation_images']:,} images"
    if warning := training.get("warning"):
        yield "warning", warning
