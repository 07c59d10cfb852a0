"""Train on 60 images of each class: from scratch, and starting from a network that has never seen these classes.

The classes are ten shapes drawn by code, for the zoo's ``squeezenet-nano``, which was trained on photos, and three
classes of CIFAR-10, for a ``squeezenet-nano`` that is first trained on the other seven. Takes half an hour on a quiet
machine with two cores. Run it with:

EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_fine_tuning.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz import data
from edgesqz.data import Dataset, Split, synthetic
from edgesqz.image_size import ImageSize
from edgesqz.stats import share_interval

MODEL = "squeezenet-nano"
IMAGES_PER_CLASS = 60
SEEDS = (0, 1)
MARGIN = 0.03
NEW_CLASSES = ("cat", "dog", "truck")
SHAPES = synthetic.load("synthetic", ImageSize(32, 32)).labels
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")


def trained(name: str, labels: tuple[str, ...], images: Split, workspace: Path, **options: Any) -> Path:
    """Train on these images with the default recipe, unless the options differ, in the precision of the figures."""
    chosen: dict[str, Any] = {"dataset": name, "name": name, "force": True, "precision": "bfloat16", **options}
    with data.provided(Dataset(name, labels, {"train": images}.__getitem__)):
        return edgesqz.train(workspace=workspace, **chosen).path


def correct(model: Path, split: Split) -> int:
    with edgesqz.load(model) as loaded:
        return int((loaded.predict(split.images).argmax(axis=1) == split.labels).sum())


def compare(labels: tuple[str, ...], draw: Any, test: Split, init: str | Path, workspace: Path) -> None:
    """Train both ways on the images ``draw(seed)`` of each seed, and print the accuracies on the test images."""
    ways: dict[str, dict[str, Any]] = {"from scratch": {"model": MODEL}, "fine-tuned": {"init": init}}
    means = []
    for way, options in ways.items():
        counts = [correct(trained("few", labels, draw(seed), workspace, seed=seed, **options), test) for seed in SEEDS]
        listed = [_percent(count, len(test)) for count in counts]
        means.append(sum(counts) / len(counts) / len(test))
        print(f"{way}: {', '.join(listed)} of {len(test):,} test images; mean {means[-1]:.1%}")
    assert means[1] >= means[0] + MARGIN


def _percent(count: int, total: int) -> str:
    low, high = share_interval(count, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def test_the_zoos_network_learns_drawn_shapes(tmp_path: Path) -> None:
    def draw(seed: int) -> Split:
        return synthetic.draw(IMAGES_PER_CLASS * len(SHAPES), 32, seed=2000 + seed)

    compare(SHAPES, draw, synthetic.draw(2000, 32, seed=97), MODEL, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"model": MODEL},
        {"model": MODEL, "learning_rate": 0.1},
        {"init": MODEL, "learning_rate": 0.025},
        {"init": MODEL},
        {"init": MODEL, "learning_rate": 0.2},
        {"init": MODEL, "learning_rate": 0.05, "freeze": 3},
    ],
    ids=str,
)
def test_the_rates_that_the_defaults_were_chosen_from(options: dict[str, Any], tmp_path: Path) -> None:
    """Use other images than the comparison, because they selected the recipe."""
    images, others = synthetic.draw(IMAGES_PER_CLASS * len(SHAPES), 32, seed=1000), synthetic.draw(2000, 32, seed=99)
    count = correct(trained("rates", SHAPES, images, tmp_path, **options), others)
    print(f"{options}: {_percent(count, len(others))}")
    assert count > 2 * len(others) / len(SHAPES)  # twice as many as by chance


@pytest.mark.skipif(not DATA_DIR, reason="set EDGESQZ_DATA_DIR to a folder with CIFAR-10")
def test_a_network_for_seven_classes_learns_three_others(tmp_path: Path) -> None:
    assert DATA_DIR
    cifar = data.load("cifar10", Path(DATA_DIR))
    old = tuple(label for label in cifar.labels if label not in NEW_CLASSES)

    def of(labels: tuple[str, ...], split: Split) -> Split:
        """Return the images of some classes."""
        numbers = [cifar.labels.index(label) for label in labels]
        kept = split.take(np.isin(split.labels, numbers))
        return Split(kept.images, np.searchsorted(numbers, kept.labels))

    init = trained("seven-classes", old, of(old, cifar.train()), tmp_path, model=MODEL, epochs=5)
    new = of(NEW_CLASSES, cifar.train())

    def draw(seed: int) -> Split:
        order = np.random.default_rng(seed).permutation(len(new))
        first = [order[new.labels[order] == label][:IMAGES_PER_CLASS] for label in range(len(NEW_CLASSES))]
        return new.take(np.concatenate(first))

    compare(NEW_CLASSES, draw, of(NEW_CLASSES, cifar.test()), init, tmp_path)
