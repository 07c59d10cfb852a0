"""Train a network to tell people from clutter in images of 96x96 pixels. Takes ten minutes on a quiet machine.

Half of the images are drawings of a small person in front of clutter. The others contain the same parts of a body in
another order. The network is exported as int8, and measured on 1,000 images that it was not trained on.
Run it with: python -m pytest -s tests/benchmarks/test_large_images.py
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import rich
from PIL import Image, ImageDraw

import edgesqz
from edgesqz.models.costs import network_costs

MODEL = "squeezenet-nano"
SIDE = 96  # height and width of the images, in pixels
COUNTS = {"train": 1500, "test": 500}  # per class
HEIGHT = (20, 32)  # of a person, in pixels
NOISE = 8.0  # standard deviation, in pixel values

PERSON = ("head", "trunk", "legs")  # from top to bottom
SHARES = {"head": 0.25, "trunk": 0.35, "legs": 0.4}  # of the height
OTHER_ORDERS = [order for order in itertools.permutations(PERSON) if order != PERSON]


def draw_folder(folder: Path) -> Path:
    """Write the images as ``SPLIT/CLASS/NUMBER.png``."""
    for seed, (split, count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng(seed)
        for name in ("clutter", "person"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                order = PERSON if name == "person" else OTHER_ORDERS[rng.integers(len(OTHER_ORDERS))]
                draw(order, rng).save(folder / split / name / f"{number}.png")
    return folder


def draw(order: tuple[str, ...], rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), color(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 8)):
        draw_clutter(pen, rng)
    draw_figure(pen, order, rng)
    noisy = np.asarray(image) + NOISE * rng.standard_normal((SIDE, SIDE, 3))
    return Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))


def color(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())


def draw_clutter(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    (x, y), (width, height) = rng.uniform(0, SIDE, 2), rng.uniform(4, 40, 2)
    shape = (pen.ellipse, pen.rectangle, pen.line)[rng.integers(3)]
    shape((x - width / 2, y - height / 2, x + width / 2, y + height / 2), color(rng))


def draw_figure(pen: ImageDraw.ImageDraw, order: tuple[str, ...], rng: np.random.Generator) -> None:
    """Draw a head, a trunk with arms, and legs below each other."""
    height = rng.uniform(*HEIGHT)
    x, y = rng.uniform(0.3 * height, SIDE - 0.3 * height), rng.uniform(0, SIDE - height)
    skin, clothes, width = color(rng), color(rng), max(2, round(height / 12))
    for part in order:
        below = y + SHARES[part] * height
        match part:
            case "head":
                pen.ellipse((x - 0.12 * height, y, x + 0.12 * height, below), skin)
            case "trunk":
                pen.rectangle((x - 0.13 * height, y, x + 0.13 * height, below), clothes)
                for side in (-1, 1):
                    pen.line((x + side * 0.13 * height, y, x + side * 0.28 * height, below), skin, width)
            case "legs":
                for side in (-1, 1):
                    pen.line((x + side * 0.06 * height, y, x + side * 0.12 * height, below), clothes, width)
        y = below


def test_the_defaults_find_small_people(tmp_path: Path) -> None:
    images, workspace = draw_folder(tmp_path / "people"), tmp_path / "workspace"
    edgesqz.train(MODEL, str(images), input_size=SIDE, name="people", workspace=workspace)
    (exported,) = edgesqz.export("people", "tflite", variant="int8", workspace=workspace)
    report = edgesqz.bench([exported.path], runtimes=["litert", "tflite-micro"], workspace=workspace)
    rich.print(report.table())
    costs = network_costs(MODEL, classes=2, input_size=SIDE)
    print(f"{exported.size_bytes:,} bytes, {costs.macs / 1e6:.1f} M MACs")
    keras, int8, _ = report.measured  # the last one is the same file on tflite-micro
    assert keras.accuracy and int8.accuracy
    assert int8.accuracy >= 0.9
    assert int8.accuracy >= keras.accuracy - 0.02
