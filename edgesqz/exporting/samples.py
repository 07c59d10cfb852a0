"""The values of inputs used to calibrate and verify the exports of a model that does not take one image."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from edgesqz import data
from edgesqz.artifact import RANDOM, SAMPLES_SUFFIX, Images
from edgesqz.data import Samples
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.images import SEED, VERIFICATION_IMAGES, ExportImages, Sample
from edgesqz.exporting.plan import Export
from edgesqz.exporting.source import Source

RANDOM_SAMPLES = 100
VERIFICATION_SHARE = 0.2


def check_dataset(name: str, data_dir: Path | None) -> None:
    """Check that a dataset or a file of samples exists, without reading or downloading it.

    Raises:
        EdgesqzError: It does not.
    """
    if not name.endswith(SAMPLES_SUFFIX):
        data.locate(name, data_dir)
    elif not Path(name).is_file():
        raise EdgesqzError(f"{option('dataset')}: no file {name}")


class ExportSamples:
    """The samples in the file that the plan names, or random ones for verification only.

    It has the members of ``ExportImages``.
    """

    available = True  # unlike a dataset, a file needs no download
    class_names = ()

    def __init__(self, source: Source, plan: Export) -> None:
        self._source, self._count = source, plan.calibration_images
        self.dataset = None if plan.dataset is None else str(plan.dataset)
        if self.dataset and not self.dataset.endswith(SAMPLES_SUFFIX):
            raise EdgesqzError(
                f"{source.source} does not take one image, so {option('dataset')} must be an {SAMPLES_SUFFIX} file "
                f"with an array for each input ({', '.join(self._names)}), got {self.dataset}"
            )

    @property
    def calibration(self) -> Sample:
        """Samples for calibration."""
        if self.dataset is None:
            raise EdgesqzError(
                f"{self._source.source} does not take one image, and quantization needs values of its inputs for "
                f"calibration; set {option('dataset')} to an {SAMPLES_SUFFIX} file with an array for each of "
                f"{', '.join(self._names)}"
            )
        return self._sample(self._splits[0][: self._count], Path(self.dataset).name)

    @property
    def sensitivity(self) -> Sample:
        """Samples for measuring how much each layer loses with fewer bits."""
        return self.calibration

    @functools.cached_property
    def verification(self) -> Sample:
        """Samples for verification, which are random without a file."""
        if self.dataset is None:
            return self._sample(Samples.random(self._source.inputs, RANDOM_SAMPLES, SEED), RANDOM)
        return self._sample(self._splits[1][:VERIFICATION_IMAGES], Path(self.dataset).name)

    def refuse_download(self) -> None:
        """Accept the file, which needs no download."""

    @property
    def _names(self) -> list[str]:
        return [str(tensor.name) for tensor in self._source.inputs]

    @functools.cached_property
    def _splits(self) -> tuple[Samples, Samples]:
        """Disjoint samples for calibration and for verification. A single sample is used for both."""
        assert self.dataset is not None  # callers check it
        found = Samples.read(Path(self.dataset), self._source.inputs)
        order = np.random.default_rng(SEED).permutation(len(found))
        count = max(1, round(VERIFICATION_SHARE * len(found)))
        return found[order[count:] if len(found) > 1 else order], found[order[:count]]

    def _sample(self, samples: Samples, dataset: str) -> Sample:
        return Sample(samples, np.zeros(0, np.int64), Images(dataset=dataset, split="train", count=len(samples)))


ExportData = ExportImages | ExportSamples
