"""Ten classes of images drawn by code, for when no dataset is available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.data.splits import Dataset, Split
from edgesqz.image_size import ImageSize, ImageSizeLike

# Smaller shapes, less contrast and more noise make the images harder to classify.
RADIUS = (0.3, 0.45)  # relative to the shorter of height and width
CONTRAST = (0.3, 1.0)  # relative to the distance between two random colors
NOISE = 16.0  # standard deviation, in pixel values
COUNTS = {"train": 10_000, "test": 2_000}

_SEEDS = {"train": 1, "test": 2}

_Floats = NDArray[np.floating[Any]]

# Each shape is a function of the coordinates u (to the right) and v (down), in units of its radius. It is positive
# inside, negative outside and, near the outline, about the distance from it.
_SHAPES: dict[str, Callable[[_Floats, _Floats], _Floats]] = {
    "circle": lambda u, v: 0.9 - np.hypot(u, v),
    "ring": lambda u, v: 0.2 - np.abs(np.hypot(u, v) - 0.7),
    "square": lambda u, v: 0.8 - _box_radius(u, v),
    "frame": lambda u, v: 0.2 - np.abs(_box_radius(u, v) - 0.6),
    "triangle": lambda u, v: 0.5 - np.maximum(v, np.sqrt(0.75) * np.abs(u) - v / 2),
    "cross": lambda u, v: np.minimum(1 - _box_radius(u, v), 0.3 - np.minimum(np.abs(u), np.abs(v))),
    "star": lambda u, v: 0.7 + 0.3 * np.cos(5 * np.arctan2(u, -v)) - np.hypot(u, v),
    "checkerboard": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.sin(4 * u) * np.sin(4 * v) / 4),
    "horizontal-stripes": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.cos(8 * v) / 8),
    "vertical-stripes": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.cos(8 * u) / 8),
}


def _box_radius(u: _Floats, v: _Floats) -> _Floats:
    return np.maximum(np.abs(u), np.abs(v))


def load(name: str, size: ImageSize) -> Dataset:
    """Return the dataset. Each split is drawn on demand, with the same images each time.

    Args:
        name: Name of the dataset.
        size: Size of the images.
    """
    return Dataset(name, tuple(_SHAPES), lambda split: draw(COUNTS[split], size, seed=_SEEDS[split]), COUNTS["test"])


def draw(count: int, size: ImageSizeLike, *, seed: int) -> Split:
    """Draw the same number of images of each class, in random order.

    Args:
        count: Number of images, rounded up to a multiple of the number of classes.
        size: Size of the images.
        seed: Seed for the images and their order.
    """
    rng, size = np.random.default_rng(seed), ImageSize.parse(size)
    of_class = -(-count // len(_SHAPES))
    images = np.concatenate([_draw_shape(field, of_class, size, rng) for field in _SHAPES.values()])
    labels = np.repeat(np.arange(len(_SHAPES)), of_class)
    return Split(images, labels).take(rng.permutation(len(labels)))


def _draw_shape(
    field: Callable[[_Floats, _Floats], _Floats], count: int, size: ImageSize, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw images (count, H, W, 3) of one shape, each crossed by a bar that is unrelated to the class."""
    background, color, bar_color = rng.uniform(0, 255, (3, count, 1, 1, 3)).astype(np.float32)
    contrast = rng.uniform(*CONTRAST, (count, 1, 1, 1)).astype(np.float32)
    shape = _coverage(field, np.pi / 10, count, size, rng)
    bar = _coverage(lambda u, v: 0.1 - np.abs(u), np.pi, count, size, rng)
    images: _Floats = background + contrast * shape * (color - background)
    images += contrast * bar * (bar_color - images)
    images += NOISE * rng.standard_normal(images.shape, np.float32)
    np.rint(images, out=images)
    return images.clip(0, 255).astype(np.uint8)


def _coverage(
    field: Callable[[_Floats, _Floats], _Floats],
    max_angle: float,
    count: int,
    size: ImageSize,
    rng: np.random.Generator,
) -> _Floats:
    """Place a shape at random and return the share of each pixel that it covers, float32 (count, H, W, 1)."""
    center_x, center_y = rng.uniform(0.35, 0.65, (2, count, 1, 1)).astype(np.float32)
    radius = rng.uniform(*RADIUS, (count, 1, 1)).astype(np.float32)
    angle = rng.uniform(-max_angle, max_angle, (count, 1, 1)).astype(np.float32)
    shorter = min(size)
    down, across = ((np.arange(length, dtype=np.float32) + 0.5) / shorter for length in size)
    x = (across - size.width / shorter * center_x) / radius
    y = (down[:, None] - size.height / shorter * center_y) / radius
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    # A pixel is half covered if the outline passes through its center, and not covered half a pixel farther out.
    return (0.5 + field(u, v) * radius * shorter).clip(0, 1)[..., None]
