"""Train on 20 images of each class with one kind of augmentation at a time. Takes half an hour on a quiet machine.

A network from scratch learns the classes of CIFAR-10, and the zoo's ``squeezenet-nano`` is fine-tuned on drawn shapes.
The other images that the networks classify are training images, so that the choice of an augmentation sees no test
image. Run it with: EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_augmentation.py
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz import backend, data
from edgesqz.data import Dataset, Split, synthetic
from edgesqz.image_size import ImageSize
from edgesqz.training.recipe import LIGHT, Recipe
from tests.benchmarks.test_fine_tuning import NEW_CLASSES

MODEL = "squeezenet-nano"
IMAGES_PER_CLASS = 20
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")
# Columns of the random numbers of an image. The first two shift it.
ZOOM, CUTOUT, COLUMNS = 2, slice(10, 12), 14


@dataclass(frozen=True)
class Augmentation:
    """What happens to an image besides mirroring.

    Attributes:
        shift: Maximum shift, in pixels.
        zoom: Maximum magnification or reduction, as a natural logarithm.
        contrast: Maximum relative change of the contrast.
        brightness: Maximum change of the brightness, relative to white.
        cutout: Height and width of a gray square at a random position, in pixels.
    """

    shift: int = Recipe.shift
    zoom: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    cutout: int = 0


AUGMENTATIONS = {
    "shift of up to 4 pixels": Augmentation(),
    "shift of up to 8 pixels": Augmentation(shift=8),
    "zoom by 0.78 to 1.28": Augmentation(zoom=0.25),
    "contrast by 30 %, brightness by 15 %": Augmentation(contrast=LIGHT["contrast"], brightness=LIGHT["brightness"]),
    "cutout of 8x8 pixels": Augmentation(cutout=8),
}


def use(augmentation: Augmentation, patch: pytest.MonkeyPatch) -> None:
    """Train with this augmentation."""
    backend.start_keras()
    import tensorflow as tf

    from edgesqz.training import step

    class Views(step.Views):
        def __init__(self, split: Split, size: ImageSize, recipe: Recipe) -> None:
            of_views = {name: getattr(augmentation, name) for name in ("shift", "contrast", "brightness")}
            super().__init__(split, size, dataclasses.replace(recipe, **of_views))

        def __call__(self, indices: Any, view: Any) -> Any:
            numbers = tf.random.stateless_uniform([len(self.labels), COLUMNS], (self._seed, view), -1.0, 1.0)
            numbers = tf.gather(numbers, indices)
            if augmentation.zoom:
                mirrored = tf.gather(self._mirrored_first, indices) ^ (view % 2 == 1)
                images = zoomed(tf.cast(tf.gather(self._images, indices), tf.float32), numbers, mirrored)
            else:
                images = tf.cast(super().__call__(indices, view), tf.float32)
            if augmentation.cutout:
                images = tf.where(inside_cutout(numbers[:, CUTOUT]), 128.0, images)
            return images

    def zoomed(images: Any, numbers: Any, mirrored: Any) -> Any:
        side = images.shape[1]
        center = (side - 1) / 2
        scale, zero = tf.exp(augmentation.zoom * numbers[:, ZOOM]), tf.zeros(tf.shape(mirrored))
        across = tf.where(mirrored, -scale, scale)
        left = center - across * center + augmentation.shift * numbers[:, 0]
        top = center - scale * center + augmentation.shift * numbers[:, 1]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([across, zero, left, zero, scale, top, zero, zero], 1),
            output_shape=[side, side],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )

    def inside_cutout(numbers: Any) -> Any:
        side, half = 32, augmentation.cutout // 2
        corner = tf.floor((numbers + 1) / 2 * side) - half
        positions = tf.range(side, dtype=tf.float32)
        inside = (positions >= corner[:, :, None]) & (positions < corner[:, :, None] + augmentation.cutout)
        return (inside[:, 0, :, None] & inside[:, 1, None, :])[..., None]

    patch.setattr(step, "Views", Views)


def accuracy(labels: tuple[str, ...], images: Split, others: Split, workspace: Path, **options: Any) -> float:
    """Train with the default recipe, and return the accuracy on other images, 0..1."""
    with data.provided(Dataset("few", labels, {"train": images}.__getitem__)):
        trained = edgesqz.train(dataset="few", name="few", precision="float32", workspace=workspace, **options)
    with edgesqz.load(trained.path) as model:
        return float(np.mean(model.predict(others.images).argmax(axis=1) == others.labels))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_fine_tuning_on_drawn_shapes(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = synthetic.load("synthetic", ImageSize(32, 32)).labels
    images = synthetic.draw(IMAGES_PER_CLASS * len(labels), 32, seed=3000 + seed)
    use(AUGMENTATIONS[name], monkeypatch)
    found = accuracy(labels, images, synthetic.draw(2000, 32, seed=95), tmp_path, init=MODEL, seed=seed)
    print(f"fine-tuned on shapes, seed {seed}, {name}: {found:.1%}")
    assert found > 2 / len(labels)  # twice as many as by chance


def of_classes(dataset: Dataset, labels: tuple[str, ...]) -> Split:
    """Return the training images of some classes."""
    numbers, train = [dataset.labels.index(label) for label in labels], dataset.train()
    kept = train.take(np.isin(train.labels, numbers))
    return Split(kept.images, np.searchsorted(numbers, kept.labels))


def few_and_others(split: Split, images_per_class: int, seed: int) -> tuple[Split, Split]:
    """Draw a few images of each class, and 4,000 others, which are the same for every seed."""
    order = np.random.default_rng(12345).permutation(len(split))
    others, pool = split.take(order[:4000]), split.take(order[4000:])
    order = np.random.default_rng(seed).permutation(len(pool))
    few = [order[pool.labels[order] == label][:images_per_class] for label in range(split.labels.max() + 1)]
    return pool.take(np.concatenate(few)), others


@pytest.mark.skipif(not DATA_DIR, reason="set EDGESQZ_DATA_DIR to a folder with CIFAR-10")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_training_on_photos(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DATA_DIR
    cifar = data.load("cifar10", Path(DATA_DIR))
    images, others = few_and_others(cifar.train(), IMAGES_PER_CLASS, seed)
    use(AUGMENTATIONS[name], monkeypatch)
    found = accuracy(cifar.labels, images, others, tmp_path, model=MODEL, seed=seed)
    print(f"from scratch on photos, seed {seed}, {name}: {found:.1%}")
    assert found > 2 / len(cifar.labels)


@pytest.fixture(scope="module")
def seven_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was trained for two epochs on the other seven classes of CIFAR-10."""
    assert DATA_DIR
    cifar, workspace = data.load("cifar10", Path(DATA_DIR)), tmp_path_factory.mktemp("seven-classes")
    old = tuple(label for label in cifar.labels if label not in NEW_CLASSES)
    with data.provided(Dataset("seven-classes", old, {"train": of_classes(cifar, old)}.__getitem__)):
        return edgesqz.train(MODEL, "seven-classes", epochs=2, precision="float32", workspace=workspace).path


@pytest.mark.skipif(not DATA_DIR, reason="set EDGESQZ_DATA_DIR to a folder with CIFAR-10")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_fine_tuning_on_photos(
    name: str, seed: int, seven_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATA_DIR
    images, others = few_and_others(of_classes(data.load("cifar10", Path(DATA_DIR)), NEW_CLASSES), 60, seed)
    use(AUGMENTATIONS[name], monkeypatch)
    found = accuracy(NEW_CLASSES, images, others, tmp_path, init=seven_classes, seed=seed)
    print(f"fine-tuned on photos of three classes, seed {seed}, {name}: {found:.1%}")
    assert found > 1.5 / len(NEW_CLASSES)
