"""The source model as the reference for verifying its exports."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from edgesqz.artifact import PixelRange
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting import tensors, verify
from edgesqz.exporting.samples import ExportData
from edgesqz.exporting.sensitivity import Score
from edgesqz.exporting.source import Source
from edgesqz.options import PixelOptions
from edgesqz.outputs import is_guessing
from edgesqz.reading import ForeignModel

# Pixel values that many models expect, tried if a model is no better than guessing. The last ones are ImageNet's.
USUAL_PIXELS = (
    PixelOptions(pixel_range="0..1"),
    PixelOptions(pixel_range="-1..1"),
    PixelOptions(mean="0.485,0.456,0.406", std="0.229,0.224,0.225"),
)


class Reference:
    """The source model's outputs on the verification images, computed on first use.

    Args:
        source: The source model.
        images: The images or samples for verification.
        class_names: Class names given by the user, if any.
    """

    def __init__(self, source: Source, images: ExportData, class_names: tuple[str, ...]) -> None:
        self._source, self._images, self._class_names = source, images, class_names

    @functools.cached_property
    def outputs(self) -> np.ndarray:
        """The source model's outputs, float32 (N, classes)."""
        return self._source.predict(self._images.verification.pixels)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """The true classes of the images, int64 (N,), or None if the classes of dataset and model differ."""
        return self._images.verification.labels if self._has_classes_of_images else None

    @property
    def _has_classes_of_images(self) -> bool:
        names = self._images.class_names
        if not self._source.is_classifier:
            return False
        return names == self._class_names if self._class_names else len(names) == max(self._source.classes, 2)

    def sensitivity_score(self, outputs: np.ndarray, shapes: Sequence[tensors.Shape]) -> Score:
        """Score a file by its outputs for the sensitivity images, which have the given shapes for each image."""
        expected = tensors.aligned(self._sensitivity_outputs, self._source.output_shapes, shapes)
        labels = self._images.sensitivity.labels
        wanted = labels if self._has_classes_of_images else verify.predictions(expected, like=expected)
        correct = verify.predictions(outputs, like=expected) == wanted
        return Score(float(np.mean(np.square(outputs - expected))), float(np.mean(correct)))

    @functools.cached_property
    def source_accuracy(self) -> float:
        """The source model's accuracy on the sensitivity images, 0..1; 1 if there are no labels."""
        return self.sensitivity_score(self._sensitivity_outputs, self._source.output_shapes).accuracy

    @functools.cached_property
    def _sensitivity_outputs(self) -> np.ndarray:
        return self._source.predict(self._images.sensitivity.pixels)

    def accuracy(self, count: int | None = None) -> float | None:
        """Return the top-1 accuracy of the source model on the first ``count`` images, 0..1, or None without labels."""
        return None if self.labels is None else _accuracy(self.outputs[:count], self.labels[:count])

    def warning(self, *, pixels_known: bool) -> str | None:
        """Return a warning if the source model is no better than guessing, or gives the same outputs for all images.

        A wrong pixel range can have either effect. Also warn if there are no labels to compare with.

        Args:
            pixels_known: Whether the user or a manifest specifies the pixel values that the model expects.

        Raises:
            EdgesqzError: The model is no better than guessing, and its pixel values are unknown.
        """
        if self.labels is None:
            return self._constant_warning() or self._classes_warning()
        if not _is_guessing(self.outputs, self.labels):
            return None
        warning = (
            f"{self._source.source}: the source model itself is no better than guessing on "
            f"{self._images.verification.record.describe()} ({self.accuracy():.1%})"
        )
        if self._source.manifest:
            return warning
        advice = self._pixels_to_try(self.labels)
        if not pixels_known:
            raise EdgesqzError(f"{warning}; {advice or _describe_pixels()}")
        return f"{warning}; {advice}" if advice else warning

    def _constant_warning(self) -> str | None:
        if self._source.untrained or not verify.is_constant(self.outputs):
            return None
        return (
            f"{self._source.source}: the source model gives nearly the same outputs for all images; it may be "
            f"untrained, or it may expect other pixel values ({option('pixel_range')})"
        )

    def _classes_warning(self) -> str | None:
        count = len(self._images.class_names)
        if self._source.untrained or not count or not self._source.is_classifier:
            return None
        return (
            f"the {self._source.classes} classes of {self._source.source} are not the {count} classes of "
            f"{self._images.dataset}, so the accuracy of the source model was not checked"
        )

    def _pixels_to_try(self, labels: np.ndarray) -> str | None:
        images = self._images.verification.pixels
        tried = {usual: self._source.predict(images, usual.pixels) for usual in USUAL_PIXELS if self._takes(usual)}
        best = max(tried, key=lambda usual: _accuracy(tried[usual], labels))
        if not _is_guessing(tried[best], labels):
            return f"try {best.describe()}, which gives an accuracy of {_accuracy(tried[best], labels):.1%}"
        return None

    def _takes(self, usual: PixelOptions) -> bool:
        """Return whether the options apply to the source model. A Keras model standardizes its channels itself."""
        is_rgb = self._source.image_format[1] == 3
        return isinstance(usual.pixels, PixelRange) or (is_rgb and isinstance(self._source, ForeignModel))


def _describe_pixels() -> str:
    return (
        f"if it expects pixel values other than 0..255, specify them with {option('pixel_range')}, such as 0..1; "
        f"{option('pixel_range')} 0..255 exports it as is"
    )


def _accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(verify.predictions(outputs, like=outputs) == labels))


def _is_guessing(outputs: np.ndarray, labels: np.ndarray) -> bool:
    return is_guessing(verify.predictions(outputs, like=outputs), labels)
