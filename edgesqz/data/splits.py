"""Labeled images, and random splits and samples of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize


@dataclass(frozen=True, eq=False)
class Split:
    """Labeled images.

    Attributes:
        images: The images, uint8 NHWC, with three channels for RGB or one for gray.
        labels: The class of each image as an index into the class names, int64 (N,).
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
        """Number of channels: 3 for RGB, 1 for gray."""
        return int(self.images.shape[3])

    @property
    def sha256(self) -> str:
        """SHA-256 of the images and their labels, in hexadecimal."""
        content = hashlib.sha256(repr(self.images.shape).encode())
        content.update(np.ascontiguousarray(self.images).data)
        content.update(np.ascontiguousarray(self.labels).data)
        return content.hexdigest()

    def take(self, indices: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> Split:
        """Return the images at integer `indices` (M,), in that order, or those where a boolean mask (N,) is true."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A training split and a test split, each read on demand.

    Attributes:
        name: Name or folder of the dataset, as given to `load`.
        labels: The class names.
        read: Function that reads the split named "train" or "test", and no file of the other split.
        test_images: Number of images in the test split, or None if it is unknown until the split is read.
        division: How the test split was chosen, to show to the user, or None if the dataset comes with a test split.
    """

    name: str
    labels: tuple[str, ...]
    read: Callable[[str], Split]
    test_images: int | None = None
    division: str | None = None

    def train(self) -> Split:
        """Read the training split. Raise EdgesqzError if there is none, or one of its files is missing or damaged."""
        return self.read("train")

    def test(self) -> Split:
        """Read the test split. Raise EdgesqzError if there is none, or one of its files is missing or damaged."""
        return self.read("test")


def with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Convert images to RGB or to gray, if they are not already.

    Args:
        images: uint8 NHWC, with three channels or one.
        channels: Number of channels of the result, 3 or 1.

    Returns:
        uint8 NHWC. Gray is the luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    """
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    return np.rint(images @ np.array([[0.299], [0.587], [0.114]], np.float32)).astype(np.uint8)


def holdout_split(split: Split, *, share: float = 0.1, seed: int) -> tuple[Split, Split]:
    """Split off a random share of the images of each class.

    Args:
        split: The images to divide.
        share: Share of each class to split off, rounded to whole images. Each part gets at least one image.
        seed: Seed for the selection.

    Returns:
        The remaining images and the holdout part, each in the order of `split`.

    Raises:
        EdgesqzError: A class has only one image.
    """
    holdout = holdout_mask(split.labels, share, seed)
    return split.take(~holdout), split.take(holdout)


def sample(split: Split, count: int, *, seed: int) -> Split:
    """Draw images at random without replacement, the same number from each class as far as possible.

    Args:
        split: The images to draw from.
        count: Number of images to draw. If there are fewer, all of them are returned.
        seed: Seed for the selection.

    Returns:
        The selected images, in the order of `split`.
    """
    rng = np.random.default_rng(seed)
    ranks = _ranks_within_class(split.labels, rng)
    # Each round draws one image of every class; if the last round is incomplete, its classes are random.
    drawn = np.lexsort((rng.random(len(split)), ranks))[:count]
    return split.take(np.sort(drawn))


def _ranks_within_class(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle each class and return the position (N,) of each image within its class, from 0."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    class_starts = np.searchsorted(labels[by_class], labels[by_class])
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - class_starts
    return ranks


def holdout_mask(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask (N,) of the images to split off; see `holdout_split`."""
    sizes = np.bincount(labels)
    if 1 in sizes:
        raise EdgesqzError(
            f"class number {sizes.tolist().index(1)} has only one image; splitting takes at least two per class"
        )
    holdout_of_class: NDArray[np.floating[Any]] = np.rint(share * sizes).clip(1, sizes - 1)
    return _ranks_within_class(labels, np.random.default_rng(seed)) < holdout_of_class[labels]
