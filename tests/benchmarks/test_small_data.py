"""Train on about 200 images of shapes with the default recipe, in float32. Takes ten minutes on a quiet machine.

In the first benchmark, the images are JPEG files of circles, squares and triangles with random sizes, positions and
colors. The trained network then classifies 900 new ones. The second one measures how well a few validation images
select an epoch. Run them with: python -m pytest -s tests/benchmarks/test_small_data.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.console import Console

import edgesqz
from edgesqz import data
from edgesqz.data import Dataset, synthetic
from edgesqz.image_size import ImageSize
from edgesqz.models.architectures import network_graph
from edgesqz.training import Train, run
from edgesqz.training.checkpoint import Checkpoint, Progress
from edgesqz.workspace import Workspace

SIDE = 96  # height and width of the images, in pixels
IMAGES = 180  # to train on; with 60, neither network is better than guessing
SHAPES = ("circle", "square", "triangle")
OTHERS = 600  # images, from which validation images are drawn
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


@pytest.mark.parametrize("seed", [0, 1])
def test_few_validation_images_select_an_epoch_by_chance(seed: int, tmp_path: Path) -> None:
    """Classify other images after each epoch of fine-tuning, and draw validation images from them 2,000 times."""
    labels = synthetic.load("synthetic", ImageSize(32, 32)).labels
    images, others = synthetic.draw(200, 32, seed=3000 + seed), synthetic.draw(2000, 32, seed=95)
    others = others.take(np.arange(OTHERS))
    network, workspace = network_graph("squeezenet-nano", classes=len(labels)).to_keras(), Workspace(tmp_path)
    epochs = []

    def classify(progress: Progress) -> None:
        network.set_weights(Checkpoint.read(workspace, "few").weights)
        predictions = network.predict_on_batch(others.images.astype(np.float32))
        epochs.append(predictions.argmax(axis=1) == others.labels)

    plan = Train(
        init="squeezenet-nano", dataset="few", name="few", precision="float32", seed=seed, workspace=workspace.folder
    )
    with data.provided(Dataset("few", labels, {"train": images}.__getitem__)):
        run.run(plan, Console(quiet=True), after_epoch=classify)
    correct = np.array(epochs)
    costs = {count: print_selection(correct, count) for count in (20, 50, 100, 200)}
    assert costs[20] > costs[200]


def print_selection(correct: np.ndarray, count: int) -> float:
    """Print how selecting the best epoch with a number of images compares with the last epoch, on the other images.

    Args:
        correct: Whether each image was classified correctly after each epoch, bool (epochs, images).
        count: Number of images that select the epoch.

    Returns:
        By how much the last epoch is more accurate on average, 0..1.
    """
    rng, costs, errors = np.random.default_rng(0), [], []
    for _ in range(2000):
        order = rng.permutation(correct.shape[1])
        on_validation, on_others = correct[:, order[:count]].mean(axis=1), correct[:, order[count:]].mean(axis=1)
        selected = np.flatnonzero(on_validation == on_validation.max())[-1]
        costs.append(on_others[-1] - on_others[selected])
        errors.append(on_validation[selected] - on_others[selected])
    print(
        f"{count} validation images: the selected epoch is {100 * np.mean(costs):.1f} points worse than the last one, "
        f"and its accuracy is overestimated by {100 * np.mean(errors):.1f} points"
    )
    return float(np.mean(costs))
