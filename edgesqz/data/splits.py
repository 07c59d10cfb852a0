"""Images with their labels, and how they are divided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 (N, H, W, 3) RGB, or (N, H, W, 1) gray.
        labels: int64 (N,), positions in the class names of the data set.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def size(self) -> ImageSize:
        """Height and width of the images."""
        return ImageSize(*self.images.shape[1:3])

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for gray."""
        return int(self.images.shape[3])

    def take(self, indices: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> Split:
        """Return the images at integer `indices` (M,), in that order, or where a boolean mask (N,) is true."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A training and a test split, each read when asked for.

    Attributes:
        name: What `load` was asked for.
        labels: The class names.
        read: Reads the split called "train" or "test" and no file of the other.
        test_images: How many the test split has, where that is known without reading it.
        division: How the two were made, for who should know, where the files do not say which is which.
    """

    name: str
    labels: tuple[str, ...]
    read: Callable[[str], Split]
    test_images: int | None = None
    division: str | None = None

    def train(self) -> Split:
        """Read the training split; EdgesqzError if there is none, or one of its files is missing or damaged."""
        return self.read("train")

    def test(self) -> Split:
        """Read the test split; EdgesqzError if there is none, or one of its files is missing or damaged."""
        return self.read("test")


def with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Make RGB images gray, or gray ones RGB, if they are not what is asked for.

    Args:
        images: uint8 (N, H, W, 3) or (N, H, W, 1).
        channels: 3 or 1.

    Returns:
        uint8 (N, H, W, channels). Gray is the luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    """
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    return np.rint(images @ np.array([[0.299], [0.587], [0.114]], np.float32)).astype(np.uint8)


def holdout_split(split: Split, *, share: float = 0.1, seed: int) -> tuple[Split, Split]:
    """Divide a split at random into a large and a small part, class by class.

    Args:
        split: What to divide.
        share: Of each class, how much is set aside; rounded, but at least one image is and one is not.
        seed: The same seed divides the same way.

    Returns:
        The rest and the part set aside, each in the order of `split`.

    Raises:
        EdgesqzError: A class has one image only.
    """
    holdout = holdout_mask(split.labels, share, seed)
    return split.take(~holdout), split.take(holdout)


def sample(split: Split, count: int, *, seed: int) -> Split:
    """Draw images at random without replacement, equally many of every class as far as it has them.

    Args:
        split: What to draw from.
        count: How many to draw; all of them if there are no more.
        seed: The same seed draws the same images.

    Returns:
        The images drawn, in the order of `split`.
    """
    rng = np.random.default_rng(seed)
    ranks = _ranks_within_class(split.labels, rng)
    # First one of every class, then a second one, and so on; chance says which classes the last round serves.
    drawn = np.lexsort((rng.random(len(split)), ranks))[:count]
    return split.take(np.sort(drawn))


def _ranks_within_class(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle every class and return each image's place (N,) in its own class, from 0."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    class_starts = np.searchsorted(labels[by_class], labels[by_class])
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - class_starts
    return ranks


def holdout_mask(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask (N,) of the images to set aside."""
    sizes = np.bincount(labels)
    if 1 in sizes:
        raise EdgesqzError(f"class number {sizes.tolist().index(1)} has one image; to hold some back takes two")
    holdout_of_class: NDArray[np.floating[Any]] = np.rint(share * sizes).clip(1, sizes - 1)
    return _ranks_within_class(labels, np.random.default_rng(seed)) < holdout_of_class[labels]
