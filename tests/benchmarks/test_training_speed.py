"""Compare the training speed with that of plain Keras ``compile()`` and ``fit()``. Takes five minutes.

All train the same network on the same images with the same batch size, learning rate and augmentation. They take turns,
so that a machine that slows down affects all of them. Run it on a quiet machine, with:
python -m pytest -s tests/benchmarks/test_training_speed.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

import edgesqz
from edgesqz import backend, data
from edgesqz.models.architectures import network_graph
from edgesqz.training.recipe import Recipe, fastest_precision

BATCH, STEPS, ROUNDS = 128, 12, 5

Turn = Callable[[], None]  # trains for STEPS steps


@pytest.fixture(scope="module")
def split() -> data.Split:
    rng = np.random.default_rng(0)
    return data.Split(rng.integers(0, 256, (5000, 32, 32, 3), np.uint8), rng.integers(0, 10, 5000))


def by_fit(name: str, split: data.Split, **compile_options: object) -> Turn:
    import keras
    import tensorflow as tf

    def augmented(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.pad(image, [[4, 4], [4, 4], [0, 0]], "REFLECT")
        moved = tf.image.random_flip_left_right(tf.image.random_crop(padded, [32, 32, 3]))
        return tf.cast(moved, tf.float32), label

    images = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).shuffle(5000).repeat()
    batches = images.map(augmented, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    model = edgesqz.SqueezeNetModel(name=name).build()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel_regularizer = keras.regularizers.L2(2.5e-4)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options)
    return lambda: model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)


def by_edgesqz(name: str, split: data.Split) -> Turn:
    from edgesqz.training.step import FusedBatchNormalization, Views, training_step

    recipe = Recipe(name, learning_rate=0.05, precision=fastest_precision())
    network = network_graph(name).to_keras(FusedBatchNormalization)
    _, take_step = training_step(network, Views(split, split.size, recipe), recipe)
    certain = np.eye(10, dtype=np.float32)[split.labels]
    rng = np.random.default_rng(0)

    def turn() -> None:
        for view in range(STEPS):
            indices = rng.permutation(len(split))[:BATCH]
            loss, _ = take_step(indices, view, certain[indices])
            assert np.isfinite(float(loss))

    return turn


# Smaller convolutions leave less to gain.
@pytest.mark.parametrize(("name", "times_fit"), [("squeezenet", 3), ("squeezenet-nano", 2)])
def test_a_step_is_faster_than_fits(name: str, times_fit: float, split: data.Split) -> None:
    backend.start_keras()
    turns = {
        "edgesqz": by_edgesqz(name, split),
        "fit": by_fit(name, split),
        "fit, jit_compile=False": by_fit(name, split, jit_compile=False),
    }
    seconds: dict[str, list[float]] = {who: [] for who in turns}
    for round_number in range(ROUNDS + 1):
        for who, turn in turns.items():
            start = time.perf_counter()
            turn()
            if round_number:  # the first one compiles
                seconds[who].append(time.perf_counter() - start)
    speed = {who: BATCH * STEPS / statistics.median(taken) for who, taken in seconds.items()}
    for who, images in speed.items():
        print(f"{name}, {who}: {images:.0f} images/s, edgesqz is {speed['edgesqz'] / images:.2f} times as fast")
    assert speed["edgesqz"] >= times_fit * speed["fit"]
    assert speed["edgesqz"] >= 1.6 * speed["fit, jit_compile=False"]
