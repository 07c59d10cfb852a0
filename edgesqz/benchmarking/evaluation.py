"""The evaluation set, which contains the test images for measuring accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgesqz import data, defaults
from edgesqz.benchmarking.candidate import Candidate, Predictions
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.outputs import class_scores

SEED = 0  # for sampling images


@dataclass
class EvaluationSet:
    """The test images of a dataset, at the input size of each model.

    Attributes:
        name: Name or folder of the dataset.
        data_dir: Folder with the dataset's files, or None for the download cache.
        limit: Maximum number of images, sampled evenly from all classes, or None for all.
        half: 0 or 1 to use only this half of the images, so that one half can select a file and the other can measure
            it, or None for both halves.
        labels: Names of the classes. Empty until images are read.
        division: How the test images were split off, or None for a dataset that comes with a test split.
        splits: The images read so far, by the requested size.
    """

    name: str
    data_dir: Path | None
    limit: int | None
    half: int | None = None
    labels: tuple[str, ...] = ()
    division: str | None = None
    splits: dict[ImageSize | None, data.Split] = field(default_factory=dict)

    def split(self, size: ImageSize | None) -> data.Split:
        """Return the images, at ``size`` for a folder or a synthetic dataset, and at their fixed size for others."""
        size = None if self.name in data.SIZES else size
        if size not in self.splits:
            source = data.load(self.name, self.data_dir, size=size)
            images, self.labels, self.division = source.test(), source.labels, source.division
            if self.half is not None:
                images = data.holdout_split(images, share=0.5, seed=SEED)[self.half]
            self.splits[size] = images if self.limit is None else data.sample(images, self.limit, seed=SEED)
        return self.splits[size]


def prepare(
    candidates: Sequence[Candidate], wanted: EvaluationSet | None, *, required: bool
) -> tuple[EvaluationSet | None, str | None]:
    """Read the images.

    Returns:
        The evaluation set, or None and the reason. A dataset that only a manifest names may be unavailable.

    Raises:
        EdgesqzError: The images cannot be read although they are ``required`` or on this machine.
    """
    if wanted is None:
        return None, "none of the files is a trained classifier"
    required = required or data.locate(wanted.name) is not None
    try:
        wanted.split(first_size(candidates))
    except EdgesqzError as error:
        if required:
            raise
        return None, str(error)
    return wanted, None


def common_dataset(candidates: Sequence[Candidate]) -> str | None:
    """Return the dataset that the manifests name, or None if no candidate is a trained classifier.

    Raises:
        EdgesqzError: The manifests name several datasets.
    """
    if not any(candidate.has_accuracy for candidate in candidates):
        return None
    named = {c.manifest.dataset for c in candidates if c.manifest and c.manifest.dataset}
    if len(named) > 1:
        raise EdgesqzError(
            f"the models were trained on different datasets ({', '.join(sorted(named))}); specify {option('dataset')}"
        )
    return named.pop() if named else defaults.DATASET


def first_size(candidates: Sequence[Candidate]) -> ImageSize | None:
    """Return the input size of the first trained candidate whose input size is known."""
    manifests = (candidate.manifest for candidate in candidates if not candidate.untrained)
    return next((each.input.image_format[0] for each in manifests if each and each.takes_images), None)


def mismatch(candidate: Candidate, engine: Engine, dataset: str | None) -> str | None:
    """Return why the accuracy of a file cannot be measured on a dataset, and what to do, or None if it can."""
    if not engine.takes_images:
        return "the input is not a single image, so the model ran on random values"
    if not engine.is_classifier:
        return "the output is not one number per class, so the model ran on synthetic images"
    size, _ = engine.image_format
    fixed = data.SIZES.get(dataset or "")
    if fixed in (None, size) or candidate.untrained:
        return None
    return (
        f"the model takes images of {size} pixels, but those of {dataset} have {fixed}; "
        "use a folder of test images as the dataset"
    )


def other_classes(engine: Engine, evaluation_set: EvaluationSet) -> str | None:
    """Return why a classifier does not fit the dataset, if its number of classes differs, or None if it is the same."""
    shape, known = engine.output_shapes[0], len(evaluation_set.labels)
    classes = max(math.prod(size or known for size in shape), 2)  # a single output distinguishes two classes
    return None if classes == known else f"the model has {classes} classes, but {evaluation_set.name} has {known}"


def first_images(count: int, candidate: Candidate, engine: Engine, evaluation_set: EvaluationSet | None) -> data.Batch:
    """Return the first test images, or synthetic ones for a file without accuracy; uint8 (N, H, W, channels).

    A model that does not take one image gets random samples.

    Raises:
        EdgesqzError: An input of such a model has no fixed shape.
    """
    if not engine.takes_images:
        return data.Samples.random(engine.inputs, count, SEED)
    size, channels = engine.image_format
    if evaluation_set and not candidate.untrained and not candidate.no_accuracy:
        split = evaluation_set.split(size)
    else:
        split = data.draw(count, size, seed=SEED)
    return data.with_channels(split.images[:count], channels)


def evaluate(candidate: Candidate, engine: Engine, evaluation_set: EvaluationSet) -> None:
    """Classify the test images with a candidate.

    Raises:
        EdgesqzError: The classes of the model and the dataset differ, or the outputs are not finite.
    """
    size, channels = engine.image_format
    images, labels = evaluation_set.split(size), evaluation_set.labels
    probabilities = class_scores(engine.predict(data.with_channels(images.images, channels)))
    classes = probabilities.shape[1]
    if classes != len(labels):
        raise EdgesqzError(f"expected a model with the {len(labels)} classes of the dataset, got one with {classes}")
    own = candidate.manifest.labels if candidate.manifest else ()
    if own and own != labels:
        raise EdgesqzError(f"expected a model with the classes {', '.join(labels)}, got one with {', '.join(own)}")
    if not np.isfinite(probabilities).all():
        raise EdgesqzError("the model's outputs contain NaN or infinity")
    candidate.predictions = Predictions(size, probabilities, images.labels)
