"""Train on 180 images of plain shapes with the default recipe, in float32. Takes ten minutes on a quiet machine.

The images are JPEG files of circles, squares and triangles with random sizes, positions and colors. The trained network
then classifies 900 new ones. Run it with: python -m pytest -s tests/benchmarks/test_small_data.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import edgesqz
from edgesqz import data

SIDE = 96  # height and width of the images, in pixels
IMAGES = 180  # to train on; with 60, neither network is better than guessing
SHAPES = ("circle", "square", "triangle")
MIN_CONTRAST = 100  # between a shape and its background, summed over red, green and blue


def draw_shapes(folder: Path, images_per_class: int, seed: int) -> Path:
    """Write a folder of images for each shape, named ``NUMBER.jpg``."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for number in range(images_per_class):
            draw_shape(shape, rng).save(folder / shape / f"{number}.jpg")
    return folder


def draw_shape(shape: str, rng: np.random.Generator) -> Image.Image:
    background, color = rng.integers(0, 256, (2, 3))
    while abs(background - color).sum() < MIN_CONTRAST:
        color = rng.integers(0, 256, 3)
    image = Image.new("RGB", (SIDE, SIDE), tuple(background.tolist()))
    pen, fill = ImageDraw.Draw(image), tuple(color.tolist())
    radius = rng.uniform(0.2, 0.35) * SIDE
    x, y = rng.uniform(radius, SIDE - radius, 2)
    corners = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        pen.ellipse(corners, fill)
    elif shape == "square":
        pen.rectangle(corners, fill)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill)
    return image


@pytest.mark.parametrize("model", ["squeezenet", "squeezenet-nano"])
def test_the_defaults_learn_shapes_from_180_images(model: str, tmp_path: Path) -> None:
    shapes = draw_shapes(tmp_path / "shapes", IMAGES // len(SHAPES), seed=0)
    fresh = data.load(str(draw_shapes(tmp_path / "fresh" / "test", 300, seed=99).parent)).test()
    accuracies = []
    for seed in range(2):
        artifact = edgesqz.train(
            model, str(shapes), precision="float32", seed=seed, name=f"seed-{seed}", workspace=tmp_path / "workspace"
        )
        with edgesqz.load(artifact.path) as trained:
            accuracies.append(float(np.mean(trained.predict(fresh.images).argmax(axis=1) == fresh.labels)))
    print(f"{model}, {IMAGES} images: {', '.join(f'{accuracy:.1%}' for accuracy in accuracies)}")
    assert min(accuracies) >= 0.7  # a third by chance
