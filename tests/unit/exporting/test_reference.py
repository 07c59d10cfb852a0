"""The source model as the reference: wrong pixel values are noticed, and the best usual ones suggested."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from edgesqz.artifact import Images, PixelRange, Pixels
from edgesqz.errors import EdgesqzError
from edgesqz.exporting.reference import Reference
from edgesqz.reading import ForeignModel

LABELS = np.arange(100) % 2
IMAGENET = "-2.118..2.249"  # the values for pixels 0 and 255 in the first channel


class Classifier:
    """A classifier of two classes. Its accuracy depends on the values that it gets."""

    source, manifest, untrained, is_classifier = "photos", None, False, True
    classes, image_format = 2, ((32, 32), 3)

    def __init__(self, accuracies: dict[str, float]) -> None:
        self.accuracies = accuracies

    def predict(self, images: np.ndarray, pixels: Pixels | None = None) -> np.ndarray:
        first_channel = str(pixels or PixelRange()).split(",")[0]
        correct = np.arange(100) < 100 * self.accuracies.get(first_channel, 0)
        return np.eye(2)[np.where(correct, LABELS, 0)]


Foreign: Any = type("Foreign", (Classifier, ForeignModel), {})


def reference(kind: Any, accuracies: dict[str, float]) -> Reference:
    record = Images(dataset="photos", split="train", count=100)
    sample = types.SimpleNamespace(pixels=np.zeros(100), labels=LABELS, record=record)
    images: Any = types.SimpleNamespace(verification=sample, class_names=("a", "b"), dataset="photos")
    return Reference(kind(accuracies), images, ())


@pytest.mark.parametrize(
    ("kind", "accuracies", "suggestion"),
    [
        (Foreign, {"0..1": 0.8, "-1..1": 0.7}, "pixel_range 0..1, which gives an accuracy of 90.0%"),
        (Foreign, {"0..1": 0.8, "-1..1": 0.9}, "pixel_range -1..1, which gives an accuracy of 95.0%"),
        (
            Foreign,
            {"-1..1": 0.9, IMAGENET: 1},
            "mean 0.485,0.456,0.406 and std 0.229,0.224,0.225",
        ),
        (Classifier, {"-1..1": 0.9, IMAGENET: 1}, "pixel_range -1..1, which gives an accuracy of 95.0%"),
    ],
)
def test_the_pixel_values_with_the_highest_accuracy_are_suggested(
    kind: Any, accuracies: dict[str, float], suggestion: str
) -> None:
    with pytest.raises(EdgesqzError, match=r"no better than guessing on .* \(50.0%\)") as refusal:
        reference(kind, accuracies).warning(pixels_known=False)
    for message in (str(refusal.value), str(reference(kind, accuracies).warning(pixels_known=True))):
        assert f"try {suggestion}" in "".join(each for each in message if each.isprintable())


def test_pixel_values_that_do_not_help_are_not_suggested() -> None:
    with pytest.raises(EdgesqzError, match=r"if it expects pixel values other than 0..255, specify them"):
        reference(Foreign, {}).warning(pixels_known=False)
    assert str(reference(Foreign, {}).warning(pixels_known=True)).endswith(" (50.0%)")
