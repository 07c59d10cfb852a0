"""The images used to calibrate and verify the exports of one model."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from edgesqz import data
from edgesqz.artifact import SYNTHETIC, Images
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.plan import Export
from edgesqz.exporting.source import Source
from edgesqz.options import as_path
from edgesqz.outputs import class_scores

VERIFICATION_IMAGES = 500
UNTRAINED_VERIFICATION_IMAGES = 50  # enough to find NaN or infinity, which is all that random weights are checked for
SENSITIVITY_IMAGES = 1000
CERTAIN = 0.5  # lead of the best class's probability over the next one
SEED, SENSITIVITY_SEED = 0, 1


@dataclass(frozen=True)
class Sample:
    """Images in the size and channels that a model takes, or values of all inputs of a model that does not take one.

    Attributes:
        pixels: uint8 (N, H, W, channels), or samples.
        labels: The class of each image, int64 (N,). Empty for samples.
        record: Origin of the images or samples, for the manifest.
    """

    pixels: data.Batch
    labels: np.ndarray
    record: Images


class ExportImages:
    """Training images of the dataset that the plan names or that the model was trained on.

    They are loaded on first use. Calibration and verification use different images.
    """

    def __init__(self, source: Source, plan: Export) -> None:
        self._source = source
        self._data_dir = as_path(plan.data_dir)
        self._calibration_images = plan.calibration_images
        trained_on = source.manifest.dataset if source.manifest else None
        self.dataset = str(plan.dataset) if plan.dataset else trained_on

    @functools.cached_property
    def available(self) -> bool:
        """Whether the dataset is known and needs no download."""
        return self.dataset is not None and data.locate(self.dataset, self._data_dir) is not None

    def refuse_download(self) -> None:
        """Reject a dataset that would have to be downloaded.

        Raises:
            EdgesqzError: The dataset is known but not available.
        """
        if self.dataset is not None and not self.available:
            raise EdgesqzError(f"{self.dataset} is not available for calibration; specify {option('data_dir')}")

    @property
    def calibration(self) -> Sample:
        """Images for calibration. A model with random weights and no dataset gets synthetic images."""
        if self._source.untrained and self.dataset is None:
            return self._synthetic(self._calibration_images)
        return self._sample(data.sample(self._splits[0], self._calibration_images, seed=SEED), self._required_dataset)

    @functools.cached_property
    def sensitivity(self) -> Sample:
        """Images for measuring how much each layer loses with fewer bits. They are not used for verification."""
        if self._source.untrained and self.dataset is None:
            return self._synthetic(UNTRAINED_VERIFICATION_IMAGES)
        split = data.sample(self._splits[0], SENSITIVITY_IMAGES, seed=SENSITIVITY_SEED)
        return self._sample(split, self._required_dataset)

    @functools.cached_property
    def verification(self) -> Sample:
        """Images for verification. Synthetic images replace a dataset that is not available."""
        if self.dataset is not None and self.available:
            return self._sample(data.sample(self._splits[1], VERIFICATION_IMAGES, seed=SEED), self.dataset)
        if self._source.untrained:
            return self._synthetic(UNTRAINED_VERIFICATION_IMAGES)
        drawn = self._synthetic(VERIFICATION_IMAGES)
        return self._certain(drawn) if self._source.is_classifier else drawn

    def _certain(self, sample: Sample) -> Sample:
        """Keep the images that the source model classifies confidently, or all if there are none.

        A network has not been trained on synthetic images, so for many of them, several classes are nearly
        equally likely. On those, even correct exports disagree.
        """
        scores = np.sort(class_scores(self._source.predict(sample.pixels)), axis=1)
        certain = scores[:, -1] - scores[:, -2] > CERTAIN
        if not certain.any():
            return sample
        pixels, labels = np.asarray(sample.pixels)[certain], sample.labels[certain]
        return Sample(pixels, labels, sample.record.model_copy(update={"count": len(pixels)}))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the dataset. Empty if the dataset is not available or the weights are random."""
        return () if self._source.untrained or not self.available else self._loaded.labels

    @property
    def _required_dataset(self) -> str:
        if self.dataset is None:
            raise EdgesqzError(
                f"{self._source.source} has no manifest that names its training data, and quantization needs some of "
                f"those images for calibration; specify {option('dataset')}"
            )
        return self.dataset

    @functools.cached_property
    def _loaded(self) -> data.Dataset:
        return data.load(self._required_dataset, self._data_dir, size=self._source.image_format[0])

    @functools.cached_property
    def _splits(self) -> tuple[data.Split, data.Split]:
        """Disjoint sets of training images for calibration and for verification."""
        return data.holdout_split(self._loaded.train(), seed=SEED)

    def _synthetic(self, count: int) -> Sample:
        return self._sample(data.draw(count, self._source.image_format[0], seed=SEED), SYNTHETIC)

    def _sample(self, split: data.Split, dataset: str) -> Sample:
        pixels = data.with_channels(split.images, self._source.image_format[1])
        return Sample(pixels, split.labels, Images(dataset=dataset, split="train", count=len(pixels), seed=SEED))
